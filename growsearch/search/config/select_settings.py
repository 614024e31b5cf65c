"""Select settings of a study: which network of its front it ends with."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from growsearch.kinds import Strict
from growsearch.kinds.values import Share
from growsearch.pareto import Bound, Preference
from growsearch.search.config.bounds import parse_quantities
from growsearch.search.config.numbers import Number


class SelectSettings(Strict):
    """Which network the study ends with.

    ``weights`` go with ``prefer: weights``; ``confidence`` is how sure the bounds must be met.
    """

    max: dict[str, Number] = Field(default_factory=dict)
    min: dict[str, Number] = Field(default_factory=dict)
    prefer: Preference = "accuracy"
    weights: dict[str, Number] = Field(default_factory=dict)
    confidence: Share = None

    @model_validator(mode="after")
    def _weights_are_used(self) -> SelectSettings:
        if bool(self.weights) != (self.prefer == "weights"):
            raise ValueError("weights and prefer: weights go together; add the other, or remove it")
        return self

    @field_validator("max", "min", mode="before")
    @classmethod
    def _quantities(cls, value: Any) -> Any:
        return parse_quantities(value)

    def bounds(self) -> tuple[Bound, ...]:
        """Return the bounds in the order they were written."""
        upper = [Bound(objective=n, sense="max", value=v) for n, v in self.max.items()]
        lower = [Bound(objective=n, sense="min", value=v) for n, v in self.min.items()]
        return (*upper, *lower)
