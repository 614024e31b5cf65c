"""Budget of growth trials, or the budgets of a trunk, with the keys that go with them."""

from __future__ import annotations

from pydantic import Field, model_validator

from growsearch.errors import UsageError
from growsearch.growth import FrontConfig
from growsearch.kinds.domain import Domain, Range, is_usual, values_of
from growsearch.kinds.growth.bound import GrowthBudget
from growsearch.kinds.growth.trunk import Trunk
from growsearch.kinds.space import KindSpace
from growsearch.kinds.values import Lengths
from growsearch.training import Recipe

# What a trunk leaves no choice about: it widens all groups alike, and its rate is its own.
_OF_ONE_BUDGET = (
    "device_batch",
    "policy",
    "seed_share",
    "steps",
    "allocation",
    "layers",
    "freeze_at",
    "pace",
    "until",
    "birth",
    "direct_design",
    "steering",
    "steering_strength",
    "relaxation",
    "temperature",
    "temperature_decay",
    "control_gain",
)


class BudgetedSpace(KindSpace):
    """Trials under one budget each, or branches of a trunk that grows through several."""

    budget: GrowthBudget | None = Field(
        default=None,
        description="Up to what networks grow: exactly one of the keys below. Or give budgets.",
    )
    budgets: GrowthBudget | None = Field(
        default=None,
        description="In the place of budget, a list in ascending order that one trunk grows "
        "through; at each a copy of it declines to its end and is a trial: a whole front in one "
        "run. One of parameters and macs.",
        json_schema_extra={"without": ["latency"]},
    )
    stage_epochs: Lengths = Field(
        default=None,
        description="Epochs of a trunk at each of its budgets, at its peak rate. Default: as "
        "epochs, those of one budget alone, have it.",
        json_schema_extra={"form": "list: whole number", "range": "1 or more", "unit": "epochs"},
    )
    decline_epochs: Lengths = Field(
        default=None,
        description="Epochs in which a branch of a trunk comes down to rate 0: one number, or one "
        "a budget. Default: as epochs have it.",
        json_schema_extra={
            "form": "whole number, or a list of them",
            "range": "1 or more",
            "unit": "epochs",
        },
    )

    @property
    def bounds(self) -> GrowthBudget:
        """The budget, or the budgets of a trunk."""
        found = self.budgets or self.budget
        assert found is not None
        return found

    @property
    def longest(self) -> int:
        """The epochs of the longest trial: of a trunk, up to its last branch's end."""
        if self.budgets is None:
            return super().longest
        return max(
            sum(trunk.stage_epochs[: k + 1]) + decline
            for trunk in map(self.trunk_of, _ends(self.epochs))
            for k, decline in enumerate(trunk.decline_epochs)
        )

    def trunk_of(self, epochs: int) -> Trunk:
        """Return the trunk of candidates with ``epochs``: lengths that are not named follow them.

        Raises:
            ValueError: for a list that has not one number a budget.
        """
        budgets = [float(value) for value in values_of(self.bounds.domain)]
        declines = self.decline_epochs
        if declines is not None and len(declines) == 1:
            declines *= len(budgets)
        try:
            config = FrontConfig(
                recipe=Recipe(epochs=epochs),
                stage_epochs=self.stage_epochs,
                decline_epochs=declines,
            )
            return Trunk(
                budgets=values_of(self.bounds.domain),  # type: ignore[arg-type]
                stage_epochs=config.stages(budgets),
                decline_epochs=config.declines(len(budgets)),
            )
        except UsageError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _one_budget_or_a_trunk(self) -> BudgetedSpace:
        if (self.budget is None) == (self.budgets is None):
            raise ValueError(
                "budget: give one bound as budget, or several that one trunk grows through as "
                "budgets"
            )
        if self.budgets is not None:
            _check_budgets(self.budgets)
            self._check_trunk()
            return self
        for key in ("stage_epochs", "decline_epochs"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: goes with budgets; add them, or remove the key")
        return self

    def _check_trunk(self) -> None:
        for key in _OF_ONE_BUDGET:
            domain, usual = getattr(self, key), type(self).model_fields[key].default
            if not is_usual(domain, usual):
                raise ValueError(
                    f"{key}: has no meaning with budgets: a trunk widens all groups alike, at its "
                    "peak rate; remove the key"
                )
        if self.schedule is not None:
            raise ValueError(
                "schedule: has no meaning with budgets: the trunk keeps its peak rate, and "
                "branches come down on a straight line; remove the key"
            )
        if self.init is not None:
            raise ValueError(
                "init: a trunk grows from fresh weights; remove the key, or shrink the trained "
                "network with prune"
            )
        for epochs in _ends(self.epochs):
            self.trunk_of(epochs)


def _check_budgets(budgets: GrowthBudget) -> None:
    if budgets.device is not None:
        raise ValueError(
            "budgets: a latency is met by asking the device for one network; give macs or "
            "parameters here, or one latency as budget"
        )
    values = values_of(budgets.domain)
    if isinstance(budgets.domain, Range) or len(values) < 2:
        raise ValueError(
            f"budgets: a trunk grows through a list of two or more, such as {budgets.metric}: "
            "[10%, 20%, 40%]; of one alone or a range, write budget"
        )
    if len({type(value) for value in values}) > 1:
        raise ValueError("budgets: all are shares (10%, 0.1), or all are counts (20M)")
    numbers = [float(value) for value in values]
    if numbers != sorted(numbers):
        raise ValueError("budgets: a trunk grows; write them in ascending order")


def _ends(domain: Domain) -> list[int]:
    return [int(value) for value in values_of(domain)]
