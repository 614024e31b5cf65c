"""Pruning as a kind of trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.growth.fits import check_fits
from growsearch.kinds.checking.context import CheckContext, space_for
from growsearch.kinds.checking.initial import check_init
from growsearch.kinds.domain import values_of
from growsearch.kinds.forecasts import Forecast, Reach
from growsearch.kinds.growth.bound import GrowthBound
from growsearch.kinds.growth.kind import SLACK, ask_budget, budget_axis, ends_of, written_budget
from growsearch.kinds.growth.training import forecast_growth, reach_of_budget
from growsearch.kinds.kind import Axis, ForecastContext, TrialKind
from growsearch.kinds.prune.candidate import PruneCandidate
from growsearch.kinds.prune.space import PruneSpace
from growsearch.kinds.prune.training import train_prune
from growsearch.kinds.prune.words import WORDS
from growsearch.kinds.questions import Questions
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.pruning import PruneConfig, prunable_groups, prune_costs
from growsearch.training import TrainingOptions

_ASKED = (
    "importance",
    "allocation",
    "layers",
    "steps",
    "over",
    "width_multiple",
    "least_share",
    "distillation",
    "features",
)


class PruneKind(TrialKind[PruneSpace, PruneCandidate]):
    """Trained networks that lose channels and layers under a budget while they train on."""

    name: ClassVar[str] = "prune"
    title: ClassVar[str] = WORDS.title
    space = PruneSpace
    candidate = PruneCandidate

    def suggest(self, questions: Questions, space: PruneSpace) -> PruneCandidate:
        """Ask in an order in which every answer says which questions are left."""
        name = str(questions.ask("space", space.space))
        budget = ask_budget(questions, "budget", space.budget)
        training = questions.recipe(space)
        found = {key: questions.ask(key, getattr(space, key)) for key in _ASKED}
        if found["distillation"] > 0:
            found["temperature"] = questions.ask("temperature", space.temperature)
        if space.budget.device is not None:
            found["device_batch"] = questions.ask("device_batch", space.device_batch)
        assert space.init is not None  # PruneSpace has asked for it
        return PruneCandidate(
            space=name,
            init=space.init,
            budget=budget,
            training=training,
            shares=tuple(space.shares.items()),
            **found,
        )

    def train(
        self, candidate: PruneCandidate, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        """Prune the network; see `train_prune`."""
        return train_prune(candidate, context, options)

    def check(self, space: PruneSpace, context: CheckContext) -> None:
        """Refuse networks that cannot be made, fed or pruned, and weights that do not fit."""
        for name in map(str, values_of(space.space)):
            with context.naming("space"):
                networks = space_for(name, context.dataset)
                check_fits(networks, context.dataset)
                context.look_at(networks, "space", masked=False)
        check_init(space, context)
        for name in map(str, values_of(space.space)):
            for value in values_of(space.budget.domain):
                bound = GrowthBound(space.budget.metric, value)  # type: ignore[arg-type]
                _check_budget(space, bound, name, context)

    def not_shared(self, space: PruneSpace) -> str | None:
        """Return that workers would time a device, or look at features, each for itself."""
        if space.budget.device is not None:
            device = space.budget.device
            return f"trials.prune.budget: latency[{device}] is timed by one worker alone"
        if values_of(space.features) != (0.0,):
            return "trials.prune.features: a worker has the features of its own examples alone"
        return None

    def written(self, space: PruneSpace) -> dict[str, Any]:
        """Return the candidate of a space with one value a key, its budget included."""
        return {**super().written(space), "budget": written_budget(space.budget)}

    def axis(self, space: PruneSpace, candidate: PruneCandidate) -> Axis[PruneCandidate] | None:
        """Return the budget, where it is a range."""
        return budget_axis(space.budget, candidate, candidate.budget)

    def same_network(self, candidate: PruneCandidate) -> PruneCandidate:
        """Return the candidate that is pruned as usual: how it is, its budget does not know."""
        return PruneCandidate(
            space=candidate.space,
            init=candidate.init,
            budget=candidate.budget,
            training=RecipeChoice(epochs=10),
        )

    def forecast(self, candidate: PruneCandidate, context: ForecastContext) -> Forecast:
        """Tell the budgeted count."""
        space = space_for(candidate.space, context.dataset)
        timed = not candidate.budget.is_count
        groups = prunable_groups(space, build_full(space, 0), gated=False, timed=timed)
        return forecast_growth(candidate.budget, space, groups)

    def reach(self, space: PruneSpace, dataset: Dataset) -> Reach:
        """Tell what the budgets' ends leave; widths that are stated may stay far below."""
        multiple = max(map(float, values_of(space.width_multiple)))
        slack = math.inf if space.shares else SLACK * multiple
        timed = space.budget.device is not None
        parts = []
        for name in map(str, values_of(space.space)):
            networks = space_for(name, dataset)
            groups = prunable_groups(networks, build_full(networks, 0), gated=False, timed=timed)
            parts.append(reach_of_budget(ends_of(space.budget), networks, groups, slack))
        return Reach.around(parts)

    def largest(self, candidate: PruneCandidate, dataset: Dataset, seed: int) -> Untrained:
        """Return the full network, with which pruning begins."""
        module = build_full(space_for(candidate.space, dataset), seed)
        return Untrained(module=module, recipe=candidate.training.recipe())

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return such as "31 % of MACs, pruned by taylor"."""
        return WORDS.describe(config)


def _check_budget(space: PruneSpace, bound: GrowthBound, name: str, context: CheckContext) -> None:
    """Refuse a count that no network of the space can be pruned to; devices are not asked."""
    if not bound.is_count:
        return
    networks = space_for(name, context.dataset)
    module = build_full(networks, 0)
    for importance in map(str, values_of(space.importance)):
        config = PruneConfig(
            importance=importance,
            allocation=str(values_of(space.allocation)[0]),
            shares=space.shares,
            steps=2,
            over=0.5,
            width_multiple=int(max(map(float, values_of(space.width_multiple)))),
            least_share=max(map(float, values_of(space.least_share))),
        )
        try:
            prune_costs(networks, module, bound.budget(), config)
        except UsageError as error:
            raise UsageError(f"trials.{context.key}.{error} (space {name})") from error


KIND = PruneKind()
