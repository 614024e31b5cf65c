"""Which trials may a study run? The settings of each kind, and which of them go together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from growsearch.errors import UsageError
from growsearch.search.decisions import Decision, Range, values_of
from growsearch.search.study_values import (
    NO_PATTERN,
    BudgetRange,
    Count,
    DistributionName,
    GranularityName,
    ModeName,
    NormName,
    OptionalCount,
    OptionalRate,
    OptionalSparsity,
    PatternName,
    PositionsName,
    RecipeName,
    RobustnessName,
    SchemeName,
    Seed,
    SourceName,
    Space,
    Sparsity,
    Strength,
    TransformName,
    Truth,
    UpdaterName,
)

_KINDS = ("growth", "sparse", "tickets")


class Strict(BaseModel):
    """Unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _TrialKind(Strict):
    """What every kind of trial trains: a space, with a recipe."""

    space: Space
    epochs: Count = Field(default=20, validate_default=True)
    recipe: RecipeName = Field(default="default", validate_default=True)
    batch_size: OptionalCount = None
    learning_rate: OptionalRate = None

    @model_validator(mode="before")
    @classmethod
    def _recipes_own_values(cls, data: Any) -> Any:
        """Write down a recipe's own batch size and learning rate, where there is one recipe."""
        if not isinstance(data, Mapping):
            return data
        from growsearch.trial.recipe_choice import recipe_values

        try:
            batch_size, learning_rate = recipe_values(data.get("recipe", "default"))
        except (UsageError, TypeError):
            # A list: each recipe has its own. A wrong name: the field itself says so.
            return data
        own = {"batch_size": batch_size, "learning_rate": learning_rate}
        return {**data, **{key: own[key] for key in own if data.get(key) is None}}


class GrowthBudget(Strict):
    """Exactly one of the two bounds of `growsearch.growth.Budget`."""

    parameters: BudgetRange | None = None
    macs: BudgetRange | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> GrowthBudget:
        if (self.parameters is None) == (self.macs is None):
            raise ValueError("give exactly one of parameters and macs")
        return self

    @property
    def metric(self) -> Literal["parameters", "macs"]:
        """Which of the two is bounded."""
        return "macs" if self.parameters is None else "parameters"

    @property
    def decision(self) -> Decision:
        """The bound or the range of bounds."""
        decision = self.macs if self.parameters is None else self.parameters
        assert decision is not None
        return decision


class GrowthKind(_TrialKind):
    """Trials that grow channels under a budget."""

    budget: GrowthBudget

    @field_validator("epochs")
    @classmethod
    def _time_to_grow(cls, value: Decision) -> Decision:
        return _time_to_grow(value)


class GrowFirstKind(Strict):
    """What sparse trials grow before they go on with it."""

    budget: GrowthBudget
    epochs: Count = Field(default=10, validate_default=True)

    @field_validator("epochs")
    @classmethod
    def _time_to_grow(cls, value: Decision) -> Decision:
        return _time_to_grow(value)


def _time_to_grow(value: Decision) -> Decision:
    low = value.low if isinstance(value, Range) else min(value.values, key=float)
    if float(low) < 2:
        raise ValueError("growth needs at least 2 epochs: to grow, then to train")
    return value


class SparseKind(_TrialKind):
    """Trials that train sparse networks, transformed or not.

    With ``grow`` each is grown under a budget before, in the same run.

    ``positions`` are a choice of distributions that look at data. An N:M pattern has its own
    sparsity and no distribution; patterns go with updaters that keep the sparsity.
    """

    transform: TransformName
    sparsity: OptionalSparsity = None
    distribution: DistributionName = Field(default="erk", validate_default=True)
    positions: PositionsName = Field(default="random", validate_default=True)
    pattern: PatternName = Field(default=NO_PATTERN, validate_default=True)
    updater: UpdaterName = Field(default="static", validate_default=True)
    activation: Truth = Field(default=True, validate_default=True)
    record: tuple[Literal["spectra", "gradient_flow"], ...] = ()
    grow: GrowFirstKind | None = None

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
    def _options_that_do_something(self) -> SparseKind:
        from growsearch.sparsity import SALIENCIES
        from growsearch.transforms import ACTIVATED, DENSE

        fixed = all(is_n_of_m(p) for p in values_of(self.pattern))
        if self.sparsity is None and (not fixed or set(DENSE) & set(values_of(self.transform))):
            raise ValueError("sparsity is missing; only N:M patterns have one of their own")
        if _is("saliency", self.positions) and not set(SALIENCIES) & set(
            values_of(self.distribution)
        ):
            raise ValueError(
                "positions: saliency needs one of the distributions " + ", ".join(SALIENCIES)
            )
        if not _is_only(NO_PATTERN, self.pattern) and not keeping(self.updater):
            raise ValueError("pattern: goes with the updaters static, set and rigl; add one")
        if not _is_only(True, self.activation) and not set(ACTIVATED) & set(
            values_of(self.transform)
        ):
            raise ValueError(
                f"activation: only {', '.join(ACTIVATED)} have one to leave out; remove the key"
            )
        return self


def _is(value: object, decision: Decision) -> bool:
    return value in values_of(decision)


def _is_only(value: object, decision: Decision) -> bool:
    return values_of(decision) == (value,)


def is_n_of_m(pattern: object) -> bool:
    """Tell whether the name of a pattern, as a study holds it, is one of N:M."""
    return ":" in str(pattern)


def keeping(updaters: Decision) -> tuple[str, ...]:
    """Return the updaters of a decision that keep the sparsity, which patterns need."""
    from growsearch.transforms import SCHEDULED

    return tuple(str(name) for name in values_of(updaters) if name not in SCHEDULED)


class TicketKind(_TrialKind):
    """Trials that pretrain on ``source``, draw a ticket and transfer it to the study's data.

    ``epochs``, ``batch_size``, ``learning_rate`` and ``recipe`` are the transfer's; pretraining and
    drawing have epochs of their own. ``epsilon`` is the strength of robust pretraining and of
    a-imp, in pixels from 0 to 1. ``source_dir`` is where the source's files are, by default the
    study's data_dir. ``target_space`` has the networks of the study's data where those are others
    over the backbone of ``space``, such as a DeepLab-v3 for masks.
    """

    source: SourceName
    source_dir: Path | None = None
    target_space: Space | None = None
    scheme: SchemeName
    sparsity: Sparsity
    granularity: GranularityName = Field(default="unstructured", validate_default=True)
    mode: ModeName = Field(default="finetune", validate_default=True)
    robustness: RobustnessName = Field(default="natural", validate_default=True)
    epsilon: Strength = None
    norm: NormName = Field(default="inf", validate_default=True)
    attack_steps: Count = Field(default=7, validate_default=True)
    pretrain_epochs: Count = Field(default=10, validate_default=True)
    pretrain_seed: Seed = Field(default=0, validate_default=True)
    draw_epochs: Count = Field(default=2, validate_default=True)
    rounds: Count = Field(default=3, validate_default=True)

    @model_validator(mode="after")
    def _a_strength_where_there_is_robustness(self) -> TicketKind:
        robust = not _is_only("natural", self.robustness) or _is("a-imp", self.scheme)
        if robust and self.epsilon is None:
            raise ValueError(
                "epsilon is missing: how far robust pretraining and a-imp may change a pixel; "
                "write for example 8/255"
            )
        return self


class TrialKinds(Strict):
    """The kinds of trial to search over; at least one."""

    growth: GrowthKind | None = None
    sparse: SparseKind | None = None
    tickets: TicketKind | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> TrialKinds:
        if not self.names:
            raise ValueError(f"name at least one kind of trial: {', '.join(_KINDS)}")
        return self

    @model_validator(mode="after")
    def _epsilon_is_used(self) -> TrialKinds:
        kind = self.tickets
        if kind is None or kind.epsilon is None:
            return self
        if _is_only("natural", kind.robustness) and not _is("a-imp", kind.scheme):
            raise ValueError(
                "tickets.epsilon: natural pretraining and these schemes have no use for it; "
                "remove the key, or add robustness: pgd"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that are there."""
        return tuple(name for name in _KINDS if getattr(self, name) is not None)

    @property
    def most_epochs(self) -> int:
        """The epochs of the longest trial that there can be."""
        decisions = [getattr(self, name).epochs for name in self.names]
        return max(int(max(values_of(decision), key=float)) for decision in decisions)
