"""Baselines as trials of a study of their own: which of them, at which budgets."""

from __future__ import annotations

from pydantic import Field, model_validator

from growsearch.kinds.domain import offers
from growsearch.kinds.growth.bound import GrowthBudget
from growsearch.kinds.space import KindSpace
from growsearch.kinds.values import BaselineName, Count


class BaselineSpace(KindSpace):
    """Networks that others are compared with; a study's key ``baselines`` is the short way."""

    which: BaselineName = Field(
        description="The network with its weights as it is (mine), the whole of it trained "
        "(dense), or uniform widths at the budget (uniform)."
    )
    budget: GrowthBudget | None = Field(
        default=None, description="Of uniform widths. Default: none, without uniform."
    )
    device_batch: Count = Field(
        default=1,
        validate_default=True,
        description="Examples at a time with which a bounded latency is taken.",
    )

    @model_validator(mode="after")
    def _what_each_needs(self) -> BaselineSpace:
        if offers(self.which, "mine") and self.init is None:
            raise ValueError("init is missing: mine is a trained network; give its weights")
        if offers(self.which, "uniform") != (self.budget is not None):
            raise ValueError("budget: goes with which: uniform; give both or none")
        return self
