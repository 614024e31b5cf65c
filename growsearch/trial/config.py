"""What does one candidate consist of? The typed settings of a trial, JSON in and out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from growsearch.errors import UsageError
from growsearch.training import Recipe

NO_TRANSFORM = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeChoice:
    """The hyper-parameters of training that a study may set or search."""

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.1

    def recipe(self) -> Recipe:
        """Return the full recipe."""
        return Recipe(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )


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
            **asdict(self.training),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseTrial:
    """Train the full configuration of ``space`` sparsely, transformed or as it is.

    ``transform`` "none" keeps the network, so that sparsity saves MACs; any other one is a
    Sparse-IFT member that keeps the dense network's MACs.
    """

    space: str
    transform: str
    sparsity: float
    distribution: str
    updater: str
    training: RecipeChoice

    @property
    def kind(self) -> str:
        """The trial kind's name in files and reports."""
        return "sparse"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "kind": self.kind,
            "space": self.space,
            "transform": self.transform,
            "sparsity": self.sparsity,
            "distribution": self.distribution,
            "updater": self.updater,
            **asdict(self.training),
        }


TrialConfig = GrowthTrial | SparseTrial


def config_from_json(data: Mapping[str, Any]) -> TrialConfig:
    """Read what ``to_json`` wrote.

    Raises:
        UsageError: for an unknown kind or a missing key.
    """
    try:
        training = RecipeChoice(
            epochs=int(data["epochs"]),
            batch_size=int(data["batch_size"]),
            learning_rate=float(data["learning_rate"]),
        )
        if data["kind"] == "growth":
            ((metric, budget),) = data["budget"].items()
            return GrowthTrial(
                space=data["space"], budget_metric=metric, budget=budget, training=training
            )
        if data["kind"] == "sparse":
            return SparseTrial(
                space=data["space"],
                transform=data["transform"],
                sparsity=float(data["sparsity"]),
                distribution=data["distribution"],
                updater=data["updater"],
                training=training,
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"trial config: {error!r} in {str(dict(data))[:120]}") from error
    raise UsageError(f"trial config: kind = {data['kind']!r}; valid: growth, sparse")


def trial_id(config: TrialConfig, study_seed: int) -> str:
    """Return 10 hexadecimal digits: the same candidate under the same seed has the same id."""
    return _digest(config, study_seed)[:10]


def trial_seed(config: TrialConfig, study_seed: int) -> int:
    """Return the seed of a trial: fixed by what it is, not by when it runs."""
    return int(_digest(config, study_seed)[10:18], 16) % 2**31


def _digest(config: TrialConfig, study_seed: int) -> str:
    text = json.dumps([config.to_json(), study_seed], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
