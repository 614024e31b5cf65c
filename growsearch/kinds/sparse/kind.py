"""Sparsity and Sparse-IFT as a kind of trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.kinds.checking.context import CheckContext, check_networks, space_for
from growsearch.kinds.checking.initial import check_init
from growsearch.kinds.domain import Categorical, Range, is_only, nearest, offers, single, values_of
from growsearch.kinds.forecasts import Forecast, Reach
from growsearch.kinds.growth.kind import ask_budget, check_growing, written_budget
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.kind import Axis, ForecastContext, TrialKind
from growsearch.kinds.network_bounds import MAX_SPARSITY
from growsearch.kinds.questions import VARIANT, Questions
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.sparse.candidate import GrowFirst, SparseCandidate
from growsearch.kinds.sparse.space import SparseSpace, keeping
from growsearch.kinds.sparse.training import (
    forecast_sparse,
    plan_sparse,
    reach_of_masks,
    train_sparse,
)
from growsearch.kinds.sparse.words import WORDS
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.kinds.values import NO_PATTERN
from growsearch.sparsity import SALIENCIES, NOfM, StructuredPattern, parse_pattern
from growsearch.training import TrainingOptions, task_of
from growsearch.transforms import ACTIVATED, DENSE, NO_TRANSFORM, SCHEDULED

# An N:M pattern and a network without masks leave a distribution nothing to decide.
_NO_SAY = "uniform"
# RigL (Evci et al., arXiv 1911.11134): 90 % sparse, ERK. Sparse-IFT (Thangarasa et al., arXiv
# 2303.11525): Sparse Wide at 90 % with RigL.
_PAPERS = (
    {"transform": NO_TRANSFORM, "sparsity": 0.9, "distribution": "erk", "updater": "rigl"},
    {"transform": "sparse_wide", "sparsity": 0.9, "updater": "rigl"},
)
_USUAL = {"pattern": NO_PATTERN, "positions": "random", "activation": True}


class SparseKind(TrialKind[SparseSpace, SparseCandidate]):
    """Networks that are masked, transformed or not, and perhaps grown before."""

    name: ClassVar[str] = "sparse"
    title: ClassVar[str] = WORDS.title
    space = SparseSpace
    candidate = SparseCandidate

    def suggest(self, questions: Questions, space: SparseSpace) -> SparseCandidate:
        """Ask in an order in which every answer says which questions are left."""
        name = str(questions.ask("space", space.space))
        transform = str(questions.ask("transform", space.transform))
        masked = transform not in DENSE
        pattern = _pattern(questions, space) if masked else None
        sparsity = _sparsity(questions, space, pattern)
        ratios = masked and not isinstance(pattern, NOfM)
        distribution = str(questions.ask("distribution", space.distribution)) if ratios else _NO_SAY
        positions = "random"
        if pattern is None and distribution in SALIENCIES:
            positions = str(questions.ask("positions", space.positions))
        return SparseCandidate(
            space=name,
            transform=transform,
            sparsity=sparsity,
            distribution=distribution,
            positions="saliency" if positions == "saliency" else "random",
            pattern=pattern,
            updater=_updater(questions, space, pattern) if masked else "static",
            activation=_activation(questions, space, transform),
            training=questions.recipe(space),
            record=space.record,
            grow=_grow_first(questions, space),
            init=space.init,
        )

    def train(
        self, candidate: SparseCandidate, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        """Mask and train the network; see `train_sparse`."""
        return train_sparse(candidate, context, options)

    def check(self, space: SparseSpace, context: CheckContext) -> None:
        """Refuse networks that cannot be made, fed, grown before, or built from their files."""
        with context.naming("sparsity"):
            _check_sparsity(space)
        updaters = tuple(map(str, values_of(space.updater)))
        if space.grow is None:
            check_networks(space.space, context, updaters=updaters)
        else:
            check_growing(space.space, space.grow.budget, context, "grow.", updaters)
        check_init(space, context)

    def not_shared(self, space: SparseSpace) -> str | None:
        """Return the same of a latency budget to grow under before."""
        if space.grow is None or space.grow.budget.device is None:
            return None
        device = space.grow.budget.device
        return f"trials.sparse.grow.budget: latency[{device}] is timed by one worker alone"

    def initial_points(self, space: SparseSpace, wanted: str) -> Iterator[dict[str, Any]]:
        """Yield the least sparse untransformed networks, or the papers' settings there are."""
        if space.sparsity is None:
            return
        if wanted == "papers":
            yield from (_point(space, found) for found in _PAPERS if _offers(space, found))
        if wanted == "dense" and offers(space.transform, NO_TRANSFORM):
            least = min(values_of(space.sparsity), key=float)
            for name in values_of(space.space):
                found = {"transform": NO_TRANSFORM, "sparsity": least, "updater": "static"}
                yield _point(space, {"space": name, **found})

    def written(self, space: SparseSpace) -> dict[str, Any]:
        """Return the candidate of a space with one value a key, what it grows before included."""
        found = super().written(space)
        if space.grow is not None:
            found["grow"] = {
                "budget": written_budget(space.grow.budget),
                "epochs": single("grow.epochs", space.grow.epochs),
                "policy": single("grow.policy", space.grow.policy),
            }
        return found

    def axis(self, space: SparseSpace, candidate: SparseCandidate) -> Axis[SparseCandidate] | None:
        """Return the sparsity, where it is a range; an N:M pattern has its own."""
        domain = space.sparsity
        if isinstance(candidate.pattern, NOfM) or not isinstance(domain, Range):
            return None
        return Axis(
            domain=domain,
            value=candidate.sparsity,
            at=lambda value: dataclasses.replace(candidate, sparsity=value),
        )

    def same_network(self, candidate: SparseCandidate) -> SparseCandidate:
        """Return the candidate with a plain recipe, and an updater that keeps the sparsity."""
        updater = candidate.updater if candidate.updater in SCHEDULED else "static"
        return dataclasses.replace(
            candidate, training=RecipeChoice(epochs=10), updater=updater, record=()
        )

    def forecast(self, candidate: SparseCandidate, context: ForecastContext) -> Forecast:
        """Tell what the masked network costs; growing before decides on another one."""
        if candidate.grow is not None:
            return Forecast()
        return forecast_sparse(candidate, space_for(candidate.space, context.dataset), context)

    def reach(self, space: SparseSpace, dataset: Dataset) -> Reach:
        """Tell what masks leave of fresh networks; of transformed or grown ones nothing."""
        fresh = space.grow is None and space.init is None
        if not fresh or not is_only(space.transform, NO_TRANSFORM):
            return Reach()
        # Patterns have shares of their own; what updaters end with is no more than the sparsity.
        found = [0.0, 1.0]
        if is_only(space.pattern, NO_PATTERN) and space.sparsity is not None:
            found = [float(value) for value in values_of(space.sparsity)]
        if set(SCHEDULED) & set(values_of(space.updater)):
            found.append(0.0)
        names = map(str, values_of(space.space))
        return Reach.around([reach_of_masks(space_for(name, dataset), found) for name in names])

    def costs_are_known(self, space: SparseSpace) -> bool:
        """Tell whether no updater makes networks sparser, and none is grown before."""
        return space.grow is None and not set(SCHEDULED) & set(values_of(space.updater))

    def fixed_network(self, config: SparseSpace | SparseCandidate) -> bool:
        """Tell whether nothing is grown before."""
        return config.grow is None

    def untrained(self, candidate: SparseCandidate, dataset: Dataset, seed: int) -> Untrained:
        """Return the masked network."""
        space, task = space_for(candidate.space, dataset), task_of(dataset)
        dense = build_full(space, seed, initial_weights(candidate.init))
        plan = plan_sparse(candidate, dense, space.example_inputs(), task, seed)
        return Untrained(module=plan.module, recipe=candidate.training.recipe())

    def largest(self, candidate: SparseCandidate, dataset: Dataset, seed: int) -> Untrained:
        """Return the masked network; of one that is grown before, as if it came to be the full."""
        return self.untrained(candidate, dataset, seed)

    def usual(self) -> Mapping[str, Any]:
        """Return what a line leaves out; a study writes "none" for no pattern."""
        return {**super().usual(), "pattern": NO_PATTERN}

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return such as "83 % sparse, sparse_wide, erk, rigl"."""
        return WORDS.describe(config)


def _check_sparsity(space: SparseSpace) -> None:
    """Refuse transforms at a sparsity whose networks no file is believed to hold.

    Raises:
        UsageError: with the sparsity, the rule and the remedy.
    """
    values = () if space.sparsity is None else values_of(space.sparsity)
    most = max(map(float, values), default=0.0)
    if most > MAX_SPARSITY and not is_only(space.transform, NO_TRANSFORM):
        raise UsageError(
            f"{most} with a transform, which widens a network by its inverse share; at most "
            f"{MAX_SPARSITY}, or transform: none"
        )


def _grow_first(questions: Questions, space: SparseSpace) -> GrowFirst | None:
    if space.grow is None:
        return None
    budget = ask_budget(questions, "grow.budget", space.grow.budget)
    return GrowFirst(
        budget=budget,
        epochs=int(questions.ask("grow.epochs", space.grow.epochs)),
        policy=str(questions.ask("grow.policy", space.grow.policy)),
    )


def _pattern(questions: Questions, space: SparseSpace) -> StructuredPattern | None:
    name = str(questions.ask("pattern", space.pattern))
    return None if name == NO_PATTERN else parse_pattern(name)


def _sparsity(questions: Questions, space: SparseSpace, pattern: StructuredPattern | None) -> float:
    """Return an N:M pattern's own sparsity, or ask for one."""
    if isinstance(pattern, NOfM):
        return 1 - pattern.density
    assert space.sparsity is not None  # SparseSpace has asked for it
    return float(questions.ask("sparsity", space.sparsity))


def _updater(questions: Questions, space: SparseSpace, pattern: StructuredPattern | None) -> str:
    """Ask for an updater; patterns have fewer, which makes it another question to a sampler."""
    fewer = keeping(space.updater)
    if pattern is None or fewer == values_of(space.updater):
        return str(questions.ask("updater", space.updater))
    return str(questions.ask(f"updater{VARIANT}", Categorical(values=fewer)))


def _activation(questions: Questions, space: SparseSpace, transform: str) -> bool:
    if transform not in ACTIVATED:
        return True
    return bool(questions.ask("activation", space.activation))


def _offers(space: SparseSpace, settings: Mapping[str, Any]) -> bool:
    """Tell whether the study has the setting's names; its numbers are moved into its ranges."""
    names = {key: value for key, value in settings.items() if key != "sparsity"}
    return all(offers(getattr(space, key), value) for key, value in names.items())


def _point(space: SparseSpace, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the candidate nearest to what is wanted, with usual or first values elsewhere."""
    usual = {**_USUAL, **wanted}
    found: dict[str, Any] = {
        name: nearest(domain, usual.get(name)) for name, domain in space.written_domains.items()
    }
    if found["transform"] in DENSE:
        found["updater"] = "static"
    if space.grow is not None:
        budget = space.grow.budget
        found["grow"] = {
            "budget": {budget.metric: nearest(budget.domain, None)},
            "epochs": nearest(space.grow.epochs, None),
            "policy": nearest(space.grow.policy, None),
        }
    return found


KIND = SparseKind()
