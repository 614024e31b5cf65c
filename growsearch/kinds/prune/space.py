"""Pruning trials in a study: the budget, what goes first, when, and what teaches the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from growsearch.errors import UsageError
from growsearch.kinds.domain import is_only, offers, values_of
from growsearch.kinds.growth.bound import GrowthBudget
from growsearch.kinds.growth.space import check_surgery
from growsearch.kinds.space import KindSpace
from growsearch.kinds.values import (
    AllocationName,
    Count,
    FromZero,
    ImportanceName,
    Rate,
    ShareFromZero,
    ShareOfEpochs,
    Truth,
)
from growsearch.pareto.quantities import parse_share
from growsearch.pruning import GATED


class PruneSpace(KindSpace):
    """Trials that prune a trained network to a budget; see `PruneCandidate`.

    ``init`` is required, and the learning rate is a tenth of the recipe's where none is given: what
    was trained goes on from where it was.
    """

    budget: GrowthBudget = Field(
        description="Down to what networks are pruned: exactly one of the keys below."
    )
    device_batch: Count = Field(
        default=1,
        validate_default=True,
        description="Examples at a time with which a bounded latency is taken.",
    )
    importance: ImportanceName = Field(
        default="taylor",
        validate_default=True,
        description="What says how much a channel matters: gradient times weight (taylor; of "
        "single examples fisher), the norm of its weights, the scale of its BatchNorm, chance, or "
        "gates that learn to close.",
    )
    allocation: AllocationName = Field(
        default="knapsack",
        validate_default=True,
        description="How the budget is spread: by importance for cost over all groups, or one "
        "share for all.",
    )
    shares: dict[str, float] = Field(
        default_factory=dict,
        description="Shares of their channels that groups keep, by name or pattern (layer4.*); the "
        "others share what is left of the budget. Default: none is decided.",
        json_schema_extra={"form": "mapping: group's name or pattern to share", "range": "(0, 1]"},
    )
    steps: Count = Field(
        default=5,
        validate_default=True,
        description="How many times channels go; 1 is one shot before the first epoch.",
    )
    over: ShareOfEpochs = Field(
        default=0.3,
        validate_default=True,
        description="Share of the epochs over which several steps are spread; the rest trains what "
        "is left.",
    )
    width_multiple: Count = Field(
        default=1,
        validate_default=True,
        description="Widths are multiples of it, as a processor's vectors want them.",
    )
    least_share: ShareFromZero = Field(
        default=0.1,
        validate_default=True,
        description="No group goes below this share of its channels.",
    )
    layers: Truth = Field(
        default=True,
        validate_default=True,
        description="Let layers go, too, where the space has a choice of them.",
    )
    distillation: ShareFromZero = Field(
        default=0.5,
        validate_default=True,
        description="Weight of the network that there was, as a teacher by its outputs; 0 is none.",
    )
    temperature: Rate = Field(
        default=4.0,
        validate_default=True,
        description="Temperature by which outputs are softened for the teacher's loss.",
    )
    features: FromZero = Field(
        default=0.0,
        validate_default=True,
        description="Weight of the distance to the teacher's maps of attention; 0 is none.",
    )

    @field_validator("shares", mode="before")
    @classmethod
    def _shares_are_shares(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        try:
            return {str(key): parse_share(share, str(key)) for key, share in value.items()}
        except (UsageError, TypeError) as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _what_surgery_carries_over(self) -> PruneSpace:
        check_surgery(self, "pruning")
        return self

    @model_validator(mode="after")
    def _options_that_do_something(self) -> PruneSpace:
        if self.init is None:
            raise ValueError(
                "init is missing: pruning begins with a trained network; give the file of its "
                "weights, a function MODULE:FUNCTION, or own for a network that comes with them"
            )
        if self.budget.device is None and not is_only(self.device_batch, 1):
            raise ValueError(
                "device_batch: a bound on parameters or macs knows no batch; remove the key"
            )
        if set(GATED) & set(values_of(self.importance)) and offers(self.steps, 1):
            raise ValueError(
                "steps: gates learn while the network trains; give at least 2, or another "
                "importance"
            )
        taught = not is_only(self.distillation, 0.0)
        if not taught and not is_only(self.temperature, 4.0):
            raise ValueError("temperature: goes with distillation; add it, or remove the key")
        for pattern, share in self.shares.items():
            if not 0 < share <= 1:
                raise ValueError(f"shares: {pattern} = {share:g} is not in (0, 1]; write 50%")
        return self
