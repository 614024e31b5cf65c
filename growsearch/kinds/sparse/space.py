"""Sparse trials in a study: transforms, distributions, patterns, updaters, and growing before."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from growsearch.kinds.domain import Domain, is_only, offers, values_of
from growsearch.kinds.growth.space import GrowFirstSpace, check_surgery
from growsearch.kinds.space import KindSpace
from growsearch.kinds.values import (
    NO_PATTERN,
    DistributionName,
    OptionalSparsity,
    PatternName,
    PositionsName,
    TransformName,
    Truth,
    UpdaterName,
)
from growsearch.sparsity import SALIENCIES
from growsearch.transforms import ACTIVATED, DENSE, SCHEDULED


class SparseSpace(KindSpace):
    """Trials that train sparse networks, transformed or not.

    With ``grow`` each is grown under a budget before, in the same run.

    ``positions`` are a choice of distributions that look at data. An N:M pattern has its own
    sparsity and no distribution; patterns go with updaters that keep the sparsity.
    """

    transform: TransformName = Field(
        description="Sparse-IFT member that keeps the dense network's MACs, none for the network "
        "as it is, or a function of your own."
    )
    sparsity: OptionalSparsity = Field(
        default=None,
        description="Share of weights that are zero. An N:M pattern has its own; it is required "
        "with anything else.",
    )
    distribution: DistributionName = Field(
        default="erk",
        validate_default=True,
        description="How the sparsity is spread over the layers.",
    )
    positions: PositionsName = Field(
        default="random",
        validate_default=True,
        description="Which weights of a layer: by chance, or by the saliencies of a distribution "
        "that looks at data.",
    )
    pattern: PatternName = Field(
        default=NO_PATTERN,
        validate_default=True,
        description="Structure of the zeros: N of M neighbours (transposable with -t) or blocks, "
        "in quotes; with updaters that keep the sparsity.",
    )
    updater: UpdaterName = Field(
        default="static", validate_default=True, description="How masks change in training."
    )
    activation: Truth = Field(
        default=True,
        validate_default=True,
        description="Whether transforms of several layers have BatchNorm and ReLU in between, as "
        "in the paper.",
    )
    record: tuple[Literal["spectra", "gradient_flow"], ...] = Field(
        default=(),
        description="What is written down every epoch, beside the trial's history. Default: "
        "nothing.",
    )
    grow: GrowFirstSpace | None = Field(
        default=None,
        description="Grow the network under a budget before, in the same run. Default: it starts "
        "as it is.",
    )

    @field_validator("pattern", mode="before")
    @classmethod
    def _no_pattern(cls, value: Any) -> Any:
        """Read an empty value as none."""
        return NO_PATTERN if value is None else value

    @field_validator("record")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a name stands twice; remove one")
        return value

    @model_validator(mode="after")
    def _what_surgery_carries_over(self) -> SparseSpace:
        if self.grow is not None:
            check_surgery(self)
        return self

    @model_validator(mode="after")
    def _options_that_do_something(self) -> SparseSpace:
        fixed = all(is_n_of_m(p) for p in values_of(self.pattern))
        if self.sparsity is None and (not fixed or set(DENSE) & set(values_of(self.transform))):
            raise ValueError("sparsity is missing; only N:M patterns have one of their own")
        if offers(self.positions, "saliency") and not set(SALIENCIES) & set(
            values_of(self.distribution)
        ):
            raise ValueError(
                "positions: saliency needs one of the distributions " + ", ".join(SALIENCIES)
            )
        if not is_only(self.pattern, NO_PATTERN) and not keeping(self.updater):
            raise ValueError("pattern: goes with the updaters static, set and rigl; add one")
        if not is_only(self.activation, True) and not set(ACTIVATED) & set(
            values_of(self.transform)
        ):
            raise ValueError(
                f"activation: only {', '.join(ACTIVATED)} have one to leave out; remove the key"
            )
        return self


def is_n_of_m(pattern: object) -> bool:
    """Tell whether the name of a pattern, as a study holds it, is one of N:M."""
    return ":" in str(pattern)


def keeping(updaters: Domain) -> tuple[str, ...]:
    """Return the updaters of a domain that keep the sparsity, which patterns need."""
    return tuple(str(name) for name in values_of(updaters) if name not in SCHEDULED)
