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


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The peak all the way, after warm-up.

    Example:
        >>> from growsearch.training import Constant, Recipe
        >>> recipe = Recipe(epochs=10, learning_rate=0.1, warmup_epochs=0, schedule=Constant())
        >>> [recipe.learning_rate_at(progress) for progress in (0.0, 0.9)]
        [0.1, 0.1]
    """

    def share(self, progress: float, *, epochs: int, warmup: float) -> float:  # noqa: ARG002
        """Return 1."""
        return 1.0

    def scaled(self, *, before: int, after: int) -> Constant:  # noqa: ARG002
        """Return itself."""
        return self

    def check(self, epochs: int) -> None:
        """Fit into any run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A straight line from the peak down to 0 at the end, after warm-up.

    The decline of warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395, section 4).

    Example:
        >>> from growsearch.training import Linear, Recipe
        >>> recipe = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=0, schedule=Linear())
        >>> [recipe.learning_rate_at(progress) for progress in (0.0, 0.25, 1.0)]
        [1.0, 0.75, 0.0]
    """

    def share(self, progress: float, *, epochs: int, warmup: float) -> float:  # noqa: ARG002
        """Return the share of the peak."""
        return 1 - (progress - warmup) / (1 - warmup)

    def scaled(self, *, before: int, after: int) -> Linear:  # noqa: ARG002
        """Return itself: a line fills any run."""
        return self

    def check(self, epochs: int) -> None:
        """Fit into any run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """One cycle up and down (Smith & Topin 2018, arXiv 1708.07120), with cosines as torch has it.

    From the peak divided by ``initial_division`` up to the peak in the share ``rise`` of what
    warm-up leaves, and down to the start divided by ``final_division``.

    Example:
        >>> from growsearch.training import OneCycle, Recipe
        >>> recipe = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=0, schedule=OneCycle())
        >>> [round(recipe.learning_rate_at(progress), 3) for progress in (0.0, 0.3, 1.0)]
        [0.04, 1.0, 0.0]
    """

    rise: float = 0.3
    initial_division: float = 25.0
    final_division: float = 1e4

    def share(self, progress: float, *, epochs: int, warmup: float) -> float:  # noqa: ARG002
        """Return the share of the peak."""
        after = (progress - warmup) / (1 - warmup)
        start = 1 / self.initial_division
        if after < self.rise:
            return _between(start, 1.0, after / self.rise)
        return _between(1.0, start / self.final_division, (after - self.rise) / (1 - self.rise))

    def scaled(self, *, before: int, after: int) -> OneCycle:  # noqa: ARG002
        """Return itself: a cycle fills any run."""
        return self

    def check(self, epochs: int) -> None:  # noqa: ARG002
        """Raise UsageError unless the rise is within the run and the divisions are above 0."""
        if not 0 < self.rise < 1:
            raise UsageError(f"rise: {self.rise} is not in (0, 1)")
        for name in ("initial_division", "final_division"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name}: {getattr(self, name)} is not above 0")


def _between(start: float, end: float, share: float) -> float:
    """Return where half a cosine from ``start`` to ``end`` is."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
