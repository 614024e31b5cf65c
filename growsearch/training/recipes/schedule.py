"""Learning-rate schedules, after warm-up."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Protocol

from growsearch.errors import UsageError

# Far less than one step of any run, and far more than rounding: 0.29 * 100 is below 29.
_ROUNDING_EPOCHS = 1e-9


class Schedule(Protocol):
    """Which share of the peak learning rate is in force when."""

    def share(self, progress: float, *, epochs: int, warmup: float) -> float:
        """Return the share of the peak after the share ``progress`` of all steps.

        ``warmup`` is the share of the run that warm-up took; it is over.
        """
        ...

    def scaled(self, *, before: int, after: int) -> Schedule:
        """Return the schedule for ``after`` epochs where this one is for ``before``."""
        ...

    def check(self, epochs: int) -> None:
        """Raise UsageError if the schedule does not fit into ``epochs``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Half a cosine from the peak down to ``final_share`` of it (Loshchilov & Hutter 2017, eq. 5).

    It takes all of the run that warm-up leaves.

    Example:
        >>> from growsearch.training import Cosine, Recipe
        >>> recipe = Recipe(epochs=10, learning_rate=0.1, warmup_epochs=0, schedule=Cosine())
        >>> [round(recipe.learning_rate_at(progress), 3) for progress in (0.0, 0.5, 1.0)]
        [0.1, 0.05, 0.0]
    """

    final_share: float = 0.0

    def share(self, progress: float, *, epochs: int, warmup: float) -> float:  # noqa: ARG002
        """Return the share of the peak."""
        after = (progress - warmup) / (1 - warmup)
        return self.final_share + (1 - self.final_share) * 0.5 * (1 + math.cos(math.pi * after))

    def scaled(self, *, before: int, after: int) -> Cosine:  # noqa: ARG002
        """Return itself: a cosine fills any run."""
        return self

    def check(self, epochs: int) -> None:  # noqa: ARG002
        """Raise UsageError if ``final_share`` is no share."""
        if not 0 <= self.final_share <= 1:
            raise UsageError(f"final_share: {self.final_share} is not in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Times ``factor`` after each of ``milestones`` epochs, from the start of the run.

    Example:
        >>> from growsearch.training import Recipe, Steps
        >>> drops = Steps(milestones=(5.0, 8.0), factor=0.1)
        >>> recipe = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=0, schedule=drops)
        >>> [round(recipe.learning_rate_at(epoch / 10), 3) for epoch in (4, 5, 9)]
        [1.0, 0.1, 0.01]
    """

    milestones: tuple[float, ...]
    factor: float

    def share(self, progress: float, *, epochs: int, warmup: float) -> float:  # noqa: ARG002
        """Return the share of the peak."""
        epoch = progress * epochs + _ROUNDING_EPOCHS
        return self.factor ** sum(epoch >= milestone for milestone in self.milestones)

    def scaled(self, *, before: int, after: int) -> Steps:
        """Return the same drops at the same shares of the run."""
        milestones = tuple(milestone * after / before for milestone in self.milestones)
        return dataclasses.replace(self, milestones=milestones)

    def check(self, epochs: int) -> None:
        """Raise UsageError unless the milestones rise within the run and the factor is positive."""
        rising = list(self.milestones) == sorted(set(self.milestones))
        if not rising or not all(0 < milestone < epochs for milestone in self.milestones):
            raise UsageError(
                f"milestones: {self.milestones} do not rise between 0 and {epochs} epochs; "
                "Recipe.scaled() moves them with the number of epochs"
            )
        if self.factor <= 0:
            raise UsageError(f"factor: {self.factor} is not above 0")
