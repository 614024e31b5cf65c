"""With which hyper-parameters is a network trained?"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """SGD with Nesterov momentum and a cosine learning rate, after ``warmup_epochs`` of warm-up.

    ``weight_decay`` is not applied to biases and BatchNorm (spec: Sparse-IFT recipes).
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    warmup_epochs: int = 1

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate after the share ``progress`` in [0, 1] of all steps."""
        warmup = min(0.5, self.warmup_epochs / self.epochs)
        if progress < warmup:
            return self.learning_rate * (0.1 + 0.9 * progress / warmup)
        after = (progress - warmup) / (1 - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * after))
