"""What does one candidate consist of? The typed settings of a trial, JSON in and out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from growsearch.errors import UsageError
from growsearch.reading import reading
from growsearch.shown_text import shown
from growsearch.sparsity import StructuredPattern, parse_pattern, pattern_name
from growsearch.transforms import NO_TRANSFORM, Positions, SparseSettings
from growsearch.trial.recipe_choice import RecipeChoice
from growsearch.trial.recording import Recorded, check_recorded
from growsearch.trial.ticket_trial import TicketTrial

__all__ = [
    "NO_TRANSFORM",
    "GrowFirst",
    "GrowthTrial",
    "RecipeChoice",
    "SparseTrial",
    "TicketTrial",
    "TrialConfig",
    "config_from_json",
    "trial_id",
    "trial_seed",
]

# What is only written down, and changes neither a trial's network nor its id and seed.
_OBSERVED = "record"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthTrial:
    """Grow channels of ``space`` from one a group up to a budget.

    ``budget`` is a share (float in (0, 1]) of the full configuration or an absolute count (int) of
    ``budget_metric``.
    """

    space: str
    budget_metric: Literal["parameters", "macs"]
    budget: float | int
    training: RecipeChoice

    @property
    def kind(self) -> str:
        """The trial kind's name in files and reports."""
        return "growth"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "kind": self.kind,
            "space": self.space,
            "budget": {self.budget_metric: self.budget},
            **self.training.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowFirst:
    """Grow a network of a sparse trial's space, and go on with that one.

    The budget is that of a `GrowthTrial`; growing takes ``epochs`` of the trial's recipe.
    """

    budget_metric: Literal["parameters", "macs"]
    budget: float | int
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 2:
            raise UsageError(
                f"grow.epochs: {self.epochs} is too few to grow and then train; give at least 2"
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"budget": {self.budget_metric: self.budget}, "epochs": self.epochs}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GrowFirst:
        """Read what ``to_json`` wrote."""
        ((metric, budget),) = data["budget"].items()
        return cls(budget_metric=metric, budget=budget, epochs=int(data["epochs"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseTrial:
    """Train the full configuration of ``space`` sparsely, transformed or as it is.

    With ``grow`` it is a network that the same run has grown before: without a transform its
    weights are kept and masked, and with one the layers that are replaced are drawn afresh.

    ``transform`` "none" keeps the network, so that sparsity saves MACs; any other one is a
    Sparse-IFT member, or "low_rank", that keeps the dense network's MACs. The other settings are
    those of `SparseSettings`. ``record`` names what is written down every epoch; see `RECORDED`.

    Raises:
        UsageError: for an unknown name or choices that exclude each other.
    """

    space: str
    transform: str
    sparsity: float
    distribution: str
    updater: str
    training: RecipeChoice
    positions: Positions = "random"
    pattern: StructuredPattern | None = None
    activation: bool = True
    record: tuple[Recorded, ...] = ()
    grow: GrowFirst | None = None

    def __post_init__(self) -> None:
        self.settings()
        check_recorded(self.record)

    @property
    def kind(self) -> str:
        """The trial kind's name in files and reports."""
        return "sparse"

    def settings(self) -> SparseSettings:
        """Return how the network is to be made sparse."""
        return SparseSettings(
            sparsity=self.sparsity,
            transform=self.transform,
            distribution=self.distribution,
            positions=self.positions,
            pattern=self.pattern,
            activation=self.activation,
            updater=self.updater,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; what earlier versions had no key for is left out if usual."""
        data: dict[str, Any] = {
            "kind": self.kind,
            "space": self.space,
            "transform": self.transform,
            "sparsity": self.sparsity,
            "distribution": self.distribution,
            "updater": self.updater,
            **self.training.to_json(),
        }
        if self.positions != "random":
            data["positions"] = self.positions
        if self.pattern is not None:
            data["pattern"] = pattern_name(self.pattern)
        if not self.activation:
            data["activation"] = False
        if self.grow is not None:
            data["grow"] = self.grow.to_json()
        if self.record:
            data[_OBSERVED] = list(self.record)
        return data


TrialConfig = GrowthTrial | SparseTrial | TicketTrial


def config_from_json(data: Mapping[str, Any]) -> TrialConfig:
    """Read what ``to_json`` wrote.

    Raises:
        UsageError: for an unknown kind, a missing key or choices that exclude each other.
    """
    with reading(
        f"trial config {shown(str(data)[:120])}", "remove its line, or start with --fresh"
    ):
        training = RecipeChoice.from_json(data)
        if data["kind"] == "growth":
            ((metric, budget),) = data["budget"].items()
            return GrowthTrial(
                space=data["space"], budget_metric=metric, budget=budget, training=training
            )
        if data["kind"] == "sparse":
            return _sparse_from_json(data, training)
        if data["kind"] == "tickets":
            return TicketTrial.from_json(data)
    raise UsageError(f"trial config: kind = {data['kind']!r}; valid: growth, sparse, tickets")


def _sparse_from_json(data: Mapping[str, Any], training: RecipeChoice) -> SparseTrial:
    pattern = data.get("pattern")
    return SparseTrial(
        space=data["space"],
        transform=data["transform"],
        sparsity=float(data["sparsity"]),
        distribution=data["distribution"],
        updater=data["updater"],
        training=training,
        positions=data.get("positions", "random"),
        pattern=None if pattern is None else parse_pattern(pattern),
        activation=bool(data.get("activation", True)),
        record=tuple(data.get(_OBSERVED, ())),
        grow=None if data.get("grow") is None else GrowFirst.from_json(data["grow"]),
    )


def trial_id(config: TrialConfig, study_seed: int) -> str:
    """Return 10 hexadecimal digits: the same candidate under the same seed has the same id."""
    return _digest(config, study_seed)[:10]


def trial_seed(config: TrialConfig, study_seed: int) -> int:
    """Return the seed of a trial: fixed by what it is, not by when it runs."""
    return int(_digest(config, study_seed)[10:18], 16) % 2**31


def _digest(config: TrialConfig, study_seed: int) -> str:
    content = {key: value for key, value in config.to_json().items() if key != _OBSERVED}
    text = json.dumps([content, study_seed], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
