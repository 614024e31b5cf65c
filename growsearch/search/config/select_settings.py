"""Bounds of a study and the choice at its end: its keys "constraints" and "select"."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from growsearch.kinds import Strict
from growsearch.kinds.values import Share
from growsearch.pareto import Bound, Preference, Ties, Wishes
from growsearch.search.config.bounds import parse_quantities
from growsearch.search.config.numbers import Number


class Limits(Strict):
    """A hard bound on a metric."""

    max: Number | None = Field(
        default=None,
        description="The largest value of the metric that a network may have, with its unit: 0.5 "
        "ms, 200k, 95%. Networks above it are never on the front.",
    )
    min: Number | None = Field(
        default=None,
        description="The smallest value of the metric that a network may have, with its unit.",
    )


class SelectSettings(Strict):
    """Which network the study ends with.

    ``weights`` go with ``prefer: weights``; ``confidence`` is how sure the bounds must be met.
    """

    max: dict[str, Number] = Field(
        default_factory=dict,
        description="Upper bounds by metric on the network that the study ends with, each with "
        "its unit.",
        json_schema_extra={"form": "mapping of metrics: number", "range": "any"},
    )
    min: dict[str, Number] = Field(
        default_factory=dict,
        description="Lower bounds by metric on it, each with its unit.",
        json_schema_extra={"form": "mapping of metrics: number", "range": "any"},
    )
    prefer: Preference = Field(
        default="accuracy",
        description="Which network within the bounds: the best of the first objective (accuracy), "
        "the nearest to the best of every objective (knee), the one that dominates "
        "most of the front's box by itself (hypervolume), or the least weighted sum "
        "of distances to the best (weights).",
    )
    weights: dict[str, Number] = Field(
        default_factory=dict,
        description="With prefer: weights, the weight of each objective's distance. Default: none.",
    )
    confidence: Share = Field(
        default=None,
        description="How sure the bounds must be met by measures that are uncertain. Default: "
        "their values are taken as they are.",
    )

    ties: Ties = Field(
        default="auto",
        description="With prefer: accuracy, what is taken of networks within one standard error "
        "of the highest accuracy: the cheapest by the first cost among the objectives (cheapest), "
        "the highest (highest), or the cheapest where the validation examples are few, so that "
        "the 95 % interval of the highest accuracy is wider than one point (auto).",
    )

    @model_validator(mode="after")
    def _ties_are_used(self) -> SelectSettings:
        if self.ties != "auto" and self.prefer != "accuracy":
            raise ValueError(
                f"ties: {self.ties} goes with prefer: accuracy, not with {self.prefer}; remove it"
            )
        return self

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

    def wishes(self) -> Wishes:
        """Return what is asked of the choice."""
        return Wishes(
            bounds=self.bounds(),
            prefer=self.prefer,
            weights=self.weights,
            confidence=self.confidence,
            ties=self.ties,
        )
