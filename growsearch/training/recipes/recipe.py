"""Recipe: the hyper-parameters that a network is trained with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal, get_args

from growsearch.errors import UsageError
from growsearch.training.recipes.optimizers import SGD, OptimizerRule
from growsearch.training.recipes.schedule import Cosine, Schedule

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Of what came later: settings that are as usual are not written, as before.
LATER = {"later": True}

_NESTEROV = SGD()
_COSINE = Cosine()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The whole of one training run; the defaults are Nesterov's momentum and a cosine.

    ``learning_rate`` is the peak, reached after ``warmup_epochs`` (half the run at most) on a
    straight line from ``warmup_start`` of it. ``weight_decay`` is not applied to biases and
    BatchNorm (spec: Sparse-IFT recipes). ``clip_norm`` bounds the norm of all gradients taken as
    one vector, those of masked weights included (Pascanu et al. 2013, algorithm 1). ``precision``
    "bfloat16" or "float16" runs convolutions and products in it (torch's autocast); weights, masks,
    gradients and evaluation stay in float32. With float16 the loss is scaled up for the backward
    pass (Micikevicius et al. 2018, section 3.2).

    With ``accumulation`` k an optimizer's step takes the mean gradient of k batches, which is that
    of one batch of k times the size; but BatchNorm sees each batch by itself, and a loss that
    weighs examples is averaged batch by batch. ``ema`` is the decay of an exponential moving
    average of the weights, which is what is evaluated and kept; None is none.

    Raises:
        UsageError: for values with which no run is possible.

    Example:
        >>> from growsearch.training import Recipe
        >>> recipe = Recipe(epochs=10, learning_rate=0.1, warmup_epochs=2)
        >>> [round(recipe.learning_rate_at(progress), 3) for progress in (0.0, 0.2, 1.0)]
        [0.01, 0.1, 0.0]
        >>> recipe.scaled(5).warmup_epochs
        1.0
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    warmup_epochs: float = 1
    warmup_start: float = 0.1
    clip_norm: float | None = None
    precision: Precision = "float32"
    optimizer: OptimizerRule = _NESTEROV
    schedule: Schedule = _COSINE
    accumulation: int = field(default=1, metadata=LATER)
    ema: float | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "clip_norm", "accumulation"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name}: {value} is not above 0")
        for name in ("weight_decay", "warmup_epochs"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}: {getattr(self, name)} is below 0")
        for name in ("label_smoothing", "warmup_start"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}: {getattr(self, name)} is not in [0, 1]")
        if self.ema is not None and not 0 < self.ema < 1:
            raise UsageError(f"ema: {self.ema} is not between 0 and 1; 0.999 is a good start")
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"precision: unknown {self.precision!r}; valid: {', '.join(PRECISIONS)}"
            )
        self.schedule.check(self.epochs)

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate after the share ``progress`` in [0, 1] of all steps."""
        warmup = min(0.5, self.warmup_epochs / self.epochs)
        if progress < warmup:
            start = self.warmup_start
            return self.learning_rate * (start + (1 - start) * progress / warmup)
        share = self.schedule.share(progress, epochs=self.epochs, warmup=warmup)
        return self.learning_rate * share

    def scaled(self, epochs: int) -> Recipe:
        """Return the recipe for a run of ``epochs``: warm-up and drops at the same shares of it."""
        return dataclasses.replace(
            self,
            epochs=epochs,
            warmup_epochs=self.warmup_epochs * epochs / self.epochs,
            schedule=self.schedule.scaled(before=self.epochs, after=epochs),
        )
