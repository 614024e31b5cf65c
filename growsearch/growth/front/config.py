"""Front configuration: the settings with which a trunk grows through budgets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from growsearch.errors import UsageError
from growsearch.growth.config import GrowthConfig
from growsearch.training import Constant, Linear, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontConfig:
    """How long a trunk trains at each budget, and how long its branches decline.

    ``recipe`` is that of a run for one budget alone: its optimizer, its peak rate and its warm-up
    are the trunk's, and ``recipe.epochs`` gives the lengths that are not named. ``stage_epochs``
    are those at constant rate, a number a budget; ``decline_epochs`` those in which a branch comes
    down to rate 0 on a straight line, a number a budget or one for all. Running statistics are
    averaged over ``calibration_batches`` batches where a stage begins. ``width_multiple``
    and ``norms`` ("reset" or "kept") are those of `GrowthConfig`.

    Raises:
        UsageError: for a value out of range, or an optimizer or average that growth cannot move.

    Example:
        >>> from growsearch.growth import FrontConfig
        >>> from growsearch.training import Recipe
        >>> FrontConfig(recipe=Recipe(epochs=16)).stages(4)
        (12, 8, 6, 6)
    """

    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=20))
    stage_epochs: tuple[int, ...] | None = None
    decline_epochs: tuple[int, ...] | int | None = None
    calibration_batches: int = 4
    width_multiple: int = 1
    norms: str = "reset"

    def __post_init__(self) -> None:
        # What growth cannot move, nor can a trunk.
        GrowthConfig(
            recipe=self.recipe,
            calibration_batches=self.calibration_batches,
            width_multiple=self.width_multiple,
            norms=self.norms,
        )
        if self.norms == "transfer":
            raise UsageError(
                "norms: 'transfer' has rates that follow one run's cohorts; in a trunk take reset "
                "or kept"
            )
        for key in ("stage_epochs", "decline_epochs"):
            given = getattr(self, key)
            for value in given if isinstance(given, tuple) else () if given is None else (given,):
                if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                    raise UsageError(f"{key}: {value!r} is no whole number above 0")

    def check(self, budgets: int) -> None:
        """Refuse lists that have not one number a budget.

        Raises:
            UsageError: naming the key.
        """
        for key in ("stage_epochs", "decline_epochs"):
            given = getattr(self, key)
            if isinstance(given, tuple) and len(given) != budgets:
                raise UsageError(
                    f"{key}: {len(given)} numbers for {budgets} budgets; give one a budget"
                )

    def stages(self, budgets: int) -> tuple[int, ...]:
        """Return the epochs of the trunk at each of so many budgets."""
        self.check(budgets)
        return self.stage_epochs or default_stages(self.recipe.epochs, budgets)

    def declines(self, budgets: int) -> tuple[int, ...]:
        """Return the epochs of each budget's branch."""
        self.check(budgets)
        given = self.decline_epochs or default_decline(self.recipe.epochs)
        return given if isinstance(given, tuple) else (given,) * budgets

    def stage_recipe(self, stage: int, epochs: int) -> Recipe:
        """Return the recipe of one stage of the trunk: the peak rate, warmed up to once."""
        return _with(self.recipe, epochs, Constant(), warm=stage == 0)

    def decline_recipe(self, epochs: int) -> Recipe:
        """Return the recipe of a branch."""
        return _with(self.recipe, epochs, Linear(), warm=False)


def default_stages(epochs: int, budgets: int) -> tuple[int, ...]:
    """Return the trunk's epochs at each budget, of runs that take ``epochs`` for one alone."""
    shares = (0.75, 0.5, 0.375)
    return tuple(max(1, round(epochs * shares[min(k, 2)])) for k in range(budgets))


def default_decline(epochs: int) -> int:
    """Return a branch's epochs, of runs that take ``epochs`` for one budget alone."""
    return max(1, round(epochs / 4))


def _with(recipe: Recipe, epochs: int, schedule: Constant | Linear, *, warm: bool) -> Recipe:
    warmup = recipe.warmup_epochs if warm else 0
    return dataclasses.replace(recipe, epochs=epochs, schedule=schedule, warmup_epochs=warmup)
