"""What is a study? The YAML that a person writes, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from growsearch.errors import UsageError
from growsearch.pareto import Bound, Direction, Preference
from growsearch.pareto.quantities import parse_quantity, parse_share
from growsearch.search.decisions import Decision, Range, Scalar, decision_to_plain, parse_decision

# The layer-wise ratios that need no data to compute.
DATA_FREE_DISTRIBUTIONS = ("uniform", "uniform+", "er", "erk", "erk+")
# The members that keep the dense network's MACs, and "none".
STUDY_TRANSFORMS = (
    "none",
    "sparse_wide",
    "sparse_parallel",
    "sparse_factorized",
    "sparse_doped",
)
# The updaters that keep a network's sparsity over the whole of training.
STUDY_UPDATERS = ("static", "set", "rigl")
PLAIN_OBJECTIVES = ("accuracy", "macs", "dense_macs", "parameters", "training_macs")
Sampler = Literal["auto", "tpe", "nsga2", "random"]
Backend = Literal["ray", "serial"]

_LATENCY = re.compile(r"latency\[(.+)\]")


def _one_of(key: str, valid: Iterable[str]) -> BeforeValidator:
    names = tuple(valid)

    def parse(value: Any) -> Scalar:
        if value not in names:
            raise ValueError(f"unknown {key} {value!r}; valid: {', '.join(names)}")
        return str(value)

    return BeforeValidator(lambda raw: parse_decision(raw, parse))


def _parse_sparsity(value: Any) -> float:
    try:
        share = parse_share(value, "sparsity")
    except (UsageError, TypeError) as error:
        raise ValueError(str(error)) from error
    if not 0 <= share < 1:
        raise ValueError(f"sparsity {value} is not in [0, 1); write for example 0.9 or 90%")
    return share


def _parse_budget(value: Any) -> int | float:
    """A percentage or a float in (0, 1] is a share of the full configuration, else a count."""
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            return parse_share(value, "budget")
        number = parse_quantity(value, "parameters") if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from error
    if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
        raise ValueError(f"{value!r} is no budget; write a share (10%) or a count (20k)")
    if isinstance(value, float) and number <= 1:
        return number
    return round(number)


def _parse_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no whole number above 0")
    return value


def _parse_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{value!r} is no number above 0")
    return float(value)


def _with(parse: Any) -> BeforeValidator:
    return BeforeValidator(lambda raw: parse_decision(raw, parse))


_plain = PlainSerializer(decision_to_plain)
Count = Annotated[Decision, _with(_parse_count), _plain]
Rate = Annotated[Decision, _with(_parse_rate), _plain]
BudgetRange = Annotated[Decision, _with(_parse_budget), _plain]
Sparsity = Annotated[Decision, _with(_parse_sparsity), _plain]


def _space_names() -> tuple[str, ...]:
    from search_spaces import SEARCH_SPACES

    return tuple(SEARCH_SPACES)


def _parse_space(value: Any) -> str:
    if value not in _space_names():
        raise ValueError(f"unknown space {value!r}; valid: {', '.join(_space_names())}")
    return str(value)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _TrialKind(_Strict):
    space: Annotated[Decision, _with(_parse_space), _plain]
    epochs: Count = Field(default=20, validate_default=True)
    batch_size: Count = Field(default=64, validate_default=True)
    learning_rate: Rate = Field(default=0.1, validate_default=True)


class GrowthBudget(_Strict):
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
        low = value.low if isinstance(value, Range) else min(value.values, key=float)
        if float(low) < 2:
            raise ValueError("growth needs at least 2 epochs: to grow, then to train")
        return value


class SparseKind(_TrialKind):
    """Trials that train sparse networks, transformed or not."""

    transform: Annotated[Decision, _one_of("transform", STUDY_TRANSFORMS), _plain]
    sparsity: Sparsity
    distribution: Annotated[Decision, _one_of("distribution", DATA_FREE_DISTRIBUTIONS), _plain] = (
        Field(default="erk", validate_default=True)
    )
    updater: Annotated[Decision, _one_of("updater", STUDY_UPDATERS), _plain] = Field(
        default="static", validate_default=True
    )


class TrialKinds(_Strict):
    """The kinds of trial to search over; at least one."""

    growth: GrowthKind | None = None
    sparse: SparseKind | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> TrialKinds:
        if self.growth is None and self.sparse is None:
            raise ValueError("name at least one kind of trial: growth, sparse")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that are there."""
        return tuple(name for name in ("growth", "sparse") if getattr(self, name) is not None)


class Limits(_Strict):
    """A hard bound on a metric."""

    max: float | None = None
    min: float | None = None


class SearchSettings(_Strict):
    """How the space is searched."""

    sampler: Sampler = "auto"
    trials: int = Field(default=32, ge=1)
    parallel: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)
    backend: Backend = "ray"


class SelectSettings(_Strict):
    """Which network the study ends with."""

    max: dict[str, float] = Field(default_factory=dict)
    min: dict[str, float] = Field(default_factory=dict)
    prefer: Preference = "accuracy"

    @field_validator("max", "min", mode="before")
    @classmethod
    def _quantities(cls, value: Any) -> Any:
        return _parse_quantities(value)

    def bounds(self) -> tuple[Bound, ...]:
        """Return the bounds in the order they were written."""
        upper = [Bound(objective=n, sense="max", value=v) for n, v in self.max.items()]
        lower = [Bound(objective=n, sense="min", value=v) for n, v in self.min.items()]
        return (*upper, *lower)


class StudyConfig(_Strict):
    """A whole study, every value resolved."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    dataset: str
    data_dir: Path | None = None
    trials: TrialKinds
    objectives: dict[str, Direction] = Field(min_length=1)
    constraints: dict[str, Limits] = Field(default_factory=dict)
    search: SearchSettings = Field(default_factory=SearchSettings)
    select: SelectSettings = Field(default_factory=SelectSettings)
    # Files of `growsearch profile`: such a device is predicted, and measured for the front alone.
    profiles: dict[str, Path] = Field(default_factory=dict)

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        from growsearch.datasets import DATASETS

        if value not in DATASETS:
            raise ValueError(f"unknown dataset {value!r}; valid: {', '.join(sorted(DATASETS))}")
        return value

    @field_validator("constraints", mode="before")
    @classmethod
    def _constraint_quantities(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: _parse_limits(name, limits) for name, limits in value.items()}

    @model_validator(mode="after")
    def _known_metrics(self) -> StudyConfig:
        for name in (*self.objectives, *self.constraints, *self.select.max, *self.select.min):
            _check_metric(name)
        missing = [n for n in (*self.select.max, *self.select.min) if n not in self.metric_names]
        if missing:
            raise ValueError(
                f"select: {missing[0]} is not measured in this study; add it to the objectives"
            )
        return self

    @model_validator(mode="after")
    def _profiles_are_used(self) -> StudyConfig:
        for device in self.profiles:
            if device not in self.devices:
                raise ValueError(
                    f"profiles: latency[{device}] is no objective or constraint of this study; "
                    f"add it, or remove the profile of {device}"
                )
        return self

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices whose latency is asked for, in order of their first mention."""
        found = (_LATENCY.fullmatch(name) for name in (*self.objectives, *self.constraints))
        return tuple(dict.fromkeys(match[1] for match in found if match))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric that a finished trial of this study has."""
        return (*PLAIN_OBJECTIVES, *(f"latency[{device}]" for device in self.devices))

    def bounds(self) -> tuple[Bound, ...]:
        """Return the study's hard constraints."""
        found = []
        for name, limits in self.constraints.items():
            if limits.max is not None:
                found.append(Bound(objective=name, sense="max", value=limits.max))
            if limits.min is not None:
                found.append(Bound(objective=name, sense="min", value=limits.min))
        return tuple(found)

    def to_plain(self) -> dict[str, Any]:
        """Return what `load_study` reads, every default written out."""
        return self.model_dump(mode="json", exclude_none=True)


def _parse_limits(name: str, limits: Any) -> Any:
    if not isinstance(limits, Mapping):
        raise ValueError(f"{name}: write {{max: VALUE}} or {{min: VALUE}}")
    return {key: _quantity(value, name) for key, value in limits.items()}


def _parse_quantities(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: _quantity(limit, name) for name, limit in value.items()}


def _quantity(value: Any, name: str) -> float:
    try:
        return parse_quantity(value, name)
    except (UsageError, TypeError) as error:
        raise ValueError(str(error)) from error


def _check_metric(name: str) -> None:
    from cost_models import DEVICES

    match = _LATENCY.fullmatch(name)
    if match and match[1] not in DEVICES:
        raise ValueError(f"unknown device {match[1]!r} in {name}; valid: {', '.join(DEVICES)}")
    if not match and name not in PLAIN_OBJECTIVES:
        raise ValueError(
            f"unknown metric {name!r}; valid: {', '.join(PLAIN_OBJECTIVES)}, latency[DEVICE]"
        )
