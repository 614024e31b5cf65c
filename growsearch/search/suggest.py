"""Which candidate comes next? The conditional space of a study, asked of an Optuna trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from growsearch.search.decisions import Decision, Options, Scalar
from growsearch.search.study_config import GrowthKind, SparseKind, TrialKinds
from growsearch.trial.config import GrowthTrial, RecipeChoice, SparseTrial, TrialConfig


class Suggester(Protocol):
    """The part of ``optuna.Trial`` that is needed."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Choose one of ``choices``."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Choose a whole number."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Choose a number."""
        ...


def suggest_candidate(trial: Suggester, kinds: TrialKinds) -> TrialConfig:
    """Ask for every decision that the chosen kind of trial needs, and for no other."""
    kind = _suggest(trial, "kind", Options(values=kinds.names))
    if kind == "growth":
        assert kinds.growth is not None
        return _growth(trial, kinds.growth)
    assert kinds.sparse is not None
    return _sparse(trial, kinds.sparse)


def suggest_for_ray(trial: Suggester, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the candidate as Tune's config; module-level, since Tune pickles it by name."""
    return {"candidate": suggest_candidate(trial, TrialKinds.model_validate(kinds)).to_json()}


def _growth(trial: Suggester, kind: GrowthKind) -> GrowthTrial:
    metric = kind.budget.metric
    space = str(_suggest(trial, "growth.space", kind.space))
    budget = _suggest(trial, f"growth.budget.{metric}", kind.budget.decision)
    assert not isinstance(budget, str)
    return GrowthTrial(
        space=space,
        budget_metric=metric,
        budget=budget,
        training=_training(trial, "growth", kind),
    )


def _sparse(trial: Suggester, kind: SparseKind) -> SparseTrial:
    return SparseTrial(
        space=str(_suggest(trial, "sparse.space", kind.space)),
        transform=str(_suggest(trial, "sparse.transform", kind.transform)),
        sparsity=float(_suggest(trial, "sparse.sparsity", kind.sparsity)),
        distribution=str(_suggest(trial, "sparse.distribution", kind.distribution)),
        updater=str(_suggest(trial, "sparse.updater", kind.updater)),
        training=_training(trial, "sparse", kind),
    )


def _training(trial: Suggester, name: str, kind: GrowthKind | SparseKind) -> RecipeChoice:
    return RecipeChoice(
        epochs=int(_suggest(trial, f"{name}.epochs", kind.epochs)),
        batch_size=int(_suggest(trial, f"{name}.batch_size", kind.batch_size)),
        learning_rate=float(_suggest(trial, f"{name}.learning_rate", kind.learning_rate)),
    )


def _suggest(trial: Suggester, name: str, decision: Decision) -> Scalar:
    """Ask for one decision; a single option is taken without asking."""
    if isinstance(decision, Options):
        if len(decision.values) == 1:
            return decision.values[0]
        chosen: Scalar = trial.suggest_categorical(name, list(decision.values))
        return chosen
    if isinstance(decision.low, int) and isinstance(decision.high, int):
        return trial.suggest_int(name, decision.low, decision.high, log=decision.logarithmic)
    return trial.suggest_float(name, decision.low, decision.high, log=decision.logarithmic)
