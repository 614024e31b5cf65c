"""Baselines as a kind of trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cost_models import trace
from growsearch.datasets import Dataset
from growsearch.growth import build_full
from growsearch.kinds.baseline.candidate import BaselineCandidate
from growsearch.kinds.baseline.space import BaselineSpace
from growsearch.kinds.baseline.training import train_baseline
from growsearch.kinds.baseline.words import WORDS
from growsearch.kinds.checking.context import CheckContext, check_networks, space_for
from growsearch.kinds.checking.initial import check_init
from growsearch.kinds.forecasts import Forecast, live_numbers
from growsearch.kinds.growth.kind import ask_budget, check_growing, written_budget
from growsearch.kinds.growth.training import forecast_growth
from growsearch.kinds.kind import ForecastContext, TrialKind
from growsearch.kinds.questions import Questions
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.training import TrainingOptions


class BaselineKind(TrialKind[BaselineSpace, BaselineCandidate]):
    """The person's network as it is, the dense one trained, and uniform widths."""

    name: ClassVar[str] = "baseline"
    title: ClassVar[str] = WORDS.title
    space = BaselineSpace
    candidate = BaselineCandidate

    def suggest(self, questions: Questions, space: BaselineSpace) -> BaselineCandidate:
        """Ask which it is, and for a budget of uniform widths."""
        which = questions.ask("which", space.which)
        budget = None
        if which == "uniform":
            assert space.budget is not None  # BaselineSpace has asked for it
            budget = ask_budget(questions, "budget", space.budget)
        return BaselineCandidate(
            which=which,
            space=str(questions.ask("space", space.space)),
            training=questions.recipe(space),
            init=space.init if which != "uniform" else None,
            budget=budget,
            device_batch=int(questions.ask("device_batch", space.device_batch)) if budget else 1,
        )

    def train(
        self, candidate: BaselineCandidate, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        """Train or take the network; see `train_baseline`."""
        return train_baseline(candidate, context, options)

    def check(self, space: BaselineSpace, context: CheckContext) -> None:
        """Refuse networks that cannot be made or fed, and weights that do not fit."""
        if space.budget is None:
            check_networks(space.space, context)
        else:
            check_growing(space.space, space.budget, context)
        check_init(space, context)

    def written(self, space: BaselineSpace) -> dict[str, Any]:
        """Return the candidate of a space with one value a key, its budget included."""
        found = super().written(space)
        return found if space.budget is None else {**found, "budget": written_budget(space.budget)}

    def forecast(self, candidate: BaselineCandidate, context: ForecastContext) -> Forecast:
        """Tell the full network's counts, or the budgeted one."""
        space = space_for(candidate.space, context.dataset)
        if candidate.budget is not None:
            return forecast_growth(candidate.budget, space)
        work = trace(build_full(space, 0), space.example_inputs())
        counts = {"macs": work.dense_macs, "parameters": work.parameters}
        metrics = {"dense_macs": float(work.dense_macs), **{k: float(v) for k, v in counts.items()}}
        return Forecast(metrics=metrics, live=live_numbers(work, work.dense_macs))

    def largest(self, candidate: BaselineCandidate, dataset: Dataset, seed: int) -> Untrained:
        """Return the full network."""
        module = build_full(space_for(candidate.space, dataset), seed)
        return Untrained(module=module, recipe=candidate.training.recipe())

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return such as "baseline: mine, as it is"."""
        return WORDS.describe(config)


KIND = BaselineKind()
