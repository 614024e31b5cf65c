"""Trunk of a growth candidate: the budgets that it grows through, and its branches in a study."""

from __future__ import annotations

import math
from dataclasses import dataclass

from growsearch.errors import UsageError
from growsearch.growth import Budget, FrontConfig
from growsearch.kinds.growth.bound import GrowthBound
from growsearch.training import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """What a branch's trunk grows through: bounds on the candidate's metric, in ascending order.

    ``stage_epochs`` and ``decline_epochs`` have a number for each; see `FrontConfig`.

    Raises:
        UsageError: for lists of other lengths, or numbers below 1.
    """

    budgets: tuple[float | int, ...]
    stage_epochs: tuple[int, ...]
    decline_epochs: tuple[int, ...]

    def __post_init__(self) -> None:
        config = FrontConfig(stage_epochs=self.stage_epochs, decline_epochs=self.decline_epochs)
        config.stages(self.budgets)
        config.declines(len(self.budgets))

    @property
    def mean_epochs(self) -> int:
        """The epochs of the whole front for each of its branches, rounded up."""
        return math.ceil(sum((*self.stage_epochs, *self.decline_epochs)) / len(self.budgets))

    def front(self, recipe: Recipe, width_multiple: int, norms: str) -> FrontConfig:
        """Return how it grows, with the ``recipe`` of one budget alone."""
        return FrontConfig(
            recipe=recipe,
            stage_epochs=self.stage_epochs,
            decline_epochs=self.decline_epochs,
            width_multiple=width_multiple,
            norms=norms,
        )

    def bounds(self, metric: str) -> list[Budget]:
        """Return its budgets."""
        return [GrowthBound(metric, value).budget() for value in self.budgets]

    def index(self, value: float | int) -> int:
        """Return the place of a branch's budget.

        Raises:
            UsageError: if it is none of the trunk's.
        """
        if value not in self.budgets:
            raise UsageError(f"budget: {value} is none of the trunk's: {list(self.budgets)}")
        return self.budgets.index(value)
