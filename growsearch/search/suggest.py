"""Which candidate comes next? The conditional space of a study, asked of an Optuna trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from growsearch.search.decisions import Decision, Options, Scalar, values_of
from growsearch.search.study_values import NO_PATTERN
from growsearch.search.trial_kinds import (
    GrowFirstKind,
    GrowthKind,
    SparseKind,
    TicketKind,
    TrialKinds,
    keeping,
)
from growsearch.sparsity import SALIENCIES, NOfM, StructuredPattern, parse_pattern
from growsearch.tickets import SOURCE, TICKET_SCHEMES
from growsearch.transforms import ACTIVATED, DENSE
from growsearch.trial.config import GrowFirst, GrowthTrial, SparseTrial, TicketTrial, TrialConfig
from growsearch.trial.recipe_choice import RecipeChoice, recipe_values

# An N:M pattern and a network without masks leave a distribution nothing to decide.
_NO_SAY = "uniform"


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
    if kind == "tickets":
        assert kinds.tickets is not None
        return _ticket(trial, kinds.tickets)
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
    """Ask in an order in which every answer says which questions are left."""
    space = str(_suggest(trial, "sparse.space", kind.space))
    transform = str(_suggest(trial, "sparse.transform", kind.transform))
    masked = transform not in DENSE
    pattern = _pattern(trial, kind) if masked else None
    sparsity = _sparsity(trial, kind, pattern)
    ratios = masked and not isinstance(pattern, NOfM)
    distribution = (
        str(_suggest(trial, "sparse.distribution", kind.distribution)) if ratios else _NO_SAY
    )
    positions = "random"
    if pattern is None and distribution in SALIENCIES:
        positions = str(_suggest(trial, "sparse.positions", kind.positions))
    return SparseTrial(
        space=space,
        transform=transform,
        sparsity=sparsity,
        distribution=distribution,
        positions="saliency" if positions == "saliency" else "random",
        pattern=pattern,
        updater=_updater(trial, kind, pattern) if masked else "static",
        activation=_activation(trial, kind, transform),
        training=_training(trial, "sparse", kind),
        record=kind.record,
        grow=None if kind.grow is None else _grow_first(trial, kind.grow),
    )


def _ticket(trial: Suggester, kind: TicketKind) -> TicketTrial:
    """Ask for a ticket; the answers so far say which of strength, steps and rounds there are."""
    space = str(_suggest(trial, "tickets.space", kind.space))
    scheme = str(_suggest(trial, "tickets.scheme", kind.scheme))
    robustness = str(_suggest(trial, "tickets.robustness", kind.robustness))
    attacked = robustness == "pgd" or scheme == "a-imp"
    data = TICKET_SCHEMES[scheme].data
    return TicketTrial(
        space=space,
        scheme=scheme,
        robustness=robustness,  # type: ignore[arg-type]
        sparsity=float(_suggest(trial, "tickets.sparsity", kind.sparsity)),
        granularity=_suggest(trial, "tickets.granularity", kind.granularity),  # type: ignore[arg-type]
        mode=_suggest(trial, "tickets.mode", kind.mode),  # type: ignore[arg-type]
        source=str(_suggest(trial, "tickets.source", kind.source)),
        epsilon=_strength(trial, kind) if attacked or robustness != "natural" else 0.0,
        norm=_suggest(trial, "tickets.norm", kind.norm) if attacked else "inf",  # type: ignore[arg-type]
        attack_steps=_whole(trial, "attack_steps", kind.attack_steps) if attacked else 0,
        pretrain_epochs=_whole(trial, "pretrain_epochs", kind.pretrain_epochs),
        pretrain_seed=_whole(trial, "pretrain_seed", kind.pretrain_seed),
        draw_epochs=_whole(trial, "draw_epochs", kind.draw_epochs) if data is not None else 0,
        rounds=_whole(trial, "rounds", kind.rounds) if data == SOURCE else 0,
        training=_training(trial, "tickets", kind),
        target_space=(
            None
            if kind.target_space is None
            else str(_suggest(trial, "tickets.target_space", kind.target_space))
        ),
    )


def _strength(trial: Suggester, kind: TicketKind) -> float:
    assert kind.epsilon is not None  # TicketKind has asked for it
    return float(_suggest(trial, "tickets.epsilon", kind.epsilon))


def _whole(trial: Suggester, name: str, decision: Decision) -> int:
    return int(_suggest(trial, f"tickets.{name}", decision))


def _grow_first(trial: Suggester, kind: GrowFirstKind) -> GrowFirst:
    metric = kind.budget.metric
    budget = _suggest(trial, f"sparse.grow.budget.{metric}", kind.budget.decision)
    assert not isinstance(budget, str)
    epochs = int(_suggest(trial, "sparse.grow.epochs", kind.epochs))
    return GrowFirst(budget_metric=metric, budget=budget, epochs=epochs)


def _pattern(trial: Suggester, kind: SparseKind) -> StructuredPattern | None:
    name = str(_suggest(trial, "sparse.pattern", kind.pattern))
    return None if name == NO_PATTERN else parse_pattern(name)


def _sparsity(trial: Suggester, kind: SparseKind, pattern: StructuredPattern | None) -> float:
    """Return an N:M pattern's own sparsity, or ask for one."""
    if isinstance(pattern, NOfM):
        return 1 - pattern.density
    assert kind.sparsity is not None  # SparseKind has asked for it
    return float(_suggest(trial, "sparse.sparsity", kind.sparsity))


def _updater(trial: Suggester, kind: SparseKind, pattern: StructuredPattern | None) -> str:
    """Ask for an updater; patterns have fewer, which makes it another question to a sampler."""
    fewer = keeping(kind.updater)
    if pattern is None or fewer == values_of(kind.updater):
        return str(_suggest(trial, "sparse.updater", kind.updater))
    return str(_suggest(trial, "sparse.updater[pattern]", Options(values=fewer)))


def _activation(trial: Suggester, kind: SparseKind, transform: str) -> bool:
    if transform not in ACTIVATED:
        return True
    return bool(_suggest(trial, "sparse.activation", kind.activation))


def _training(
    trial: Suggester, name: str, kind: GrowthKind | SparseKind | TicketKind
) -> RecipeChoice:
    """Ask for the recipe; what the study leaves open is the recipe's own."""
    epochs = int(_suggest(trial, f"{name}.epochs", kind.epochs))
    recipe = str(_suggest(trial, f"{name}.recipe", kind.recipe))
    batch_size, learning_rate = recipe_values(recipe)
    if kind.batch_size is not None:
        batch_size = int(_suggest(trial, f"{name}.batch_size", kind.batch_size))
    if kind.learning_rate is not None:
        learning_rate = float(_suggest(trial, f"{name}.learning_rate", kind.learning_rate))
    return RecipeChoice(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, name=recipe
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
