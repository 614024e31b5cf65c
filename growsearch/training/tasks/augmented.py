"""Examples whose labels stay what they are when their images are shifted or mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.task import InputsAndTargets
from growsearch.training.tasks.whole_batches import whole_batches


@dataclass(frozen=True, slots=True)
class AugmentedExamples(Examples):
    """Training batches are augmented, one label or target belongs to a whole example."""

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[InputsAndTargets]:
        """Yield inputs (N, ...) and labels (N, ...); of mixed ones, probabilities (N, classes)."""
        for inputs, labels in whole_batches(self.dataset.train, batch_size, generator):
            yield self.dataset.augmented(inputs, labels, generator)
