"""Front configuration: the settings with which a trunk grows through budgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from growsearch.errors import UsageError
from growsearch.growth.config import GrowthConfig
from growsearch.training import Constant, Linear, Recipe

# Of the epochs of one budget alone: what a path costs in its last network, and the decline's part.
_PATH, _DECLINE = 7 / 8, 3 / 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontConfig:
    """How long a trunk trains at each budget, and how long its branches decline.

    ``recipe`` is that of a run for one budget alone: its optimizer, its peak rate and its warm-up
    are the trunk's, and ``recipe.epochs`` gives the lengths that are not named; see
    `default_stages`. ``stage_epochs`` are those at constant rate, a number a budget;
    ``decline_epochs`` those in which a branch comes down to rate 0 on a straight line, a number a
    budget or one for all. Running statistics are averaged over ``calibration_batches`` batches
    where a stage begins. ``width_multiple`` and ``norms`` ("reset" or "kept") are those of
    `GrowthConfig`.

    Raises:
        UsageError: for a value out of range, or an optimizer or average that growth cannot move.

    Example:
        >>> from growsearch.growth import FrontConfig
        >>> from growsearch.training import Recipe
        >>> FrontConfig(recipe=Recipe(epochs=16)).stages((0.1, 0.2, 0.4, 0.8))
        (11, 6, 6, 6)
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

    def stages(self, bounds: Sequence[float]) -> tuple[int, ...]:
        """Return the epochs of the trunk at each of ``bounds``, costs in ascending order."""
        self._check(len(bounds))
        if self.stage_epochs is not None:
            return self.stage_epochs
        return default_stages(self.recipe.epochs, bounds, self.declines(len(bounds)))

    def declines(self, budgets: int) -> tuple[int, ...]:
        """Return the epochs of each budget's branch."""
        self._check(budgets)
        given = self.decline_epochs or default_decline(self.recipe.epochs)
        return given if isinstance(given, tuple) else (given,) * budgets

    def _check(self, budgets: int) -> None:
        """Refuse lists that have not one number a budget.

        Raises:
            UsageError: naming the key.
        """
        for key in ("stage_epochs", "decline_epochs"):
            given = getattr(self, key)
            if isinstance(given, tuple) and len(given) != budgets:
                raise UsageError(f"{key}: has {len(given)} of {budgets} numbers; give one a budget")

    def stage_recipe(self, stage: int, epochs: int) -> Recipe:
        """Return the recipe of one stage of the trunk: the peak rate, warmed up to once."""
        return _with(self.recipe, epochs, Constant(), warm=stage == 0)

    def decline_recipe(self, epochs: int) -> Recipe:
        """Return the recipe of a branch."""
        return _with(self.recipe, epochs, Linear(), warm=False)


def default_stages(
    epochs: int, bounds: Sequence[float], declines: Sequence[int]
) -> tuple[int, ...]:
    """Return the trunk's epochs at each of ``bounds``, of runs that take ``epochs`` for one alone.

    The path to every branch, its decline included, is to cost P epochs of its network: where the
    trunk has come from cost c to cost d, and declines are alike, it stays (P - decline) (1 - c / d)
    epochs, so that many budgets near each other cost little more than few.
    """
    spent, found = 0.0, []
    for bound, decline in zip(bounds, declines, strict=True):
        wanted = (_PATH * epochs - decline) * bound
        found.append(max(1, round((wanted - spent) / bound)))
        spent = max(spent, wanted)
    return tuple(found)


def default_decline(epochs: int) -> int:
    """Return a branch's epochs, of runs that take ``epochs`` for one budget alone."""
    return max(1, round(_DECLINE * epochs))


def _with(recipe: Recipe, epochs: int, schedule: Constant | Linear, *, warm: bool) -> Recipe:
    warmup = recipe.warmup_epochs if warm else 0
    return dataclasses.replace(recipe, epochs=epochs, schedule=schedule, warmup_epochs=warmup)
