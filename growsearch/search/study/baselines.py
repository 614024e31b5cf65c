"""Baselines of a study: which candidates its key ``baselines`` means, and their run before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from growsearch.errors import UsageError
from growsearch.kinds import GrowthBound, KindSpace, candidate_from_json
from growsearch.kinds.baseline.candidate import Baseline, BaselineCandidate
from growsearch.kinds.domain import Domain, nearest, values_of
from growsearch.kinds.growth.bound import GrowthBudget
from growsearch.kinds.questions import Questions
from growsearch.kinds.recipe_choice import RecipeChoice, recipe_values
from growsearch.search.backends.time_budget import TimeBudget, TimeIsUp, ended_in_time
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.recorder import Recorder
from growsearch.trial.retries import Run, run_to_its_end
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask


class _Usual:
    """Answers with the first name and the largest number of every choice."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        numbers = all(type(choice) in (int, float) for choice in choices)
        return max(choices) if numbers and name.endswith("epochs") else choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        return high

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        return high


def baseline_candidates(config: StudyConfig) -> tuple[BaselineCandidate, ...]:
    """Return the candidates that a study's ``baselines`` mean, without repeats.

    They have the spaces of its kinds of trial: "mine" and "dense" with the weights that the kind
    begins with, "uniform" at each of its budgets (both ends of a range). The recipe is that of the
    first kind with such a network; of several values the first, of epochs the most. What pruning's
    budgets mean is trained from fresh weights, at the recipe's own rate.

    Raises:
        UsageError: for a baseline that no kind of the study has what it takes for.
    """
    found: list[BaselineCandidate] = []
    for which in config.baselines:
        made = [
            candidate
            for kind, space in config.trials.items()
            for candidate in _of_kind(which, kind.name, space)
        ]
        if not made:
            raise UsageError(f"baselines: {which} {_LACKING[which]}")
        for candidate in made:
            if not any(_is_same(candidate, other) for other in found):
                found.append(candidate)
    return tuple(found)


def _is_same(one: BaselineCandidate, other: BaselineCandidate) -> bool:
    """Tell whether two mean one network; of kinds with other recipes the first one counts."""
    mean = ("which", "space", "init", "budget", "device_batch")
    return all(getattr(one, key) == getattr(other, key) for key in mean)


_LACKING: Mapping[Baseline, str] = {
    "mine": "is a network with its weights; give a kind of trial init, or leave it out",
    "dense": "is a whole network, and there is none",
    "uniform": "has the budgets of growth or prune, and there is none; leave it out",
}


def _of_kind(which: Baseline, name: str, space: KindSpace) -> Iterator[BaselineCandidate]:
    if which == "mine" and space.init is None:
        return
    budgets = list(_budgets(space)) if which == "uniform" else [None]
    training = Questions(_Usual(), name).recipe(space)
    if which == "uniform" or space.init is None:
        training = _from_fresh_weights(training, space)
    batch = getattr(space, "device_batch", None)
    for network in map(str, values_of(space.space)):
        for budget in budgets:
            yield BaselineCandidate(
                which=which,
                space=network,
                training=training,
                init=None if which == "uniform" else space.init,
                budget=budget,
                device_batch=_batch(batch) if budget is not None else 1,
            )


def _from_fresh_weights(training: RecipeChoice, space: KindSpace) -> RecipeChoice:
    """Return the recipe at its own rate where the kind's is one for trained weights."""
    if space.init is None:
        return training
    return dataclasses.replace(training, learning_rate=recipe_values(training.name)[1])


def _batch(domain: Domain | None) -> int:
    return 1 if domain is None else int(nearest(domain, 1))


def _budgets(space: KindSpace) -> Iterator[GrowthBound]:
    budget = getattr(space, "budgets", None) or getattr(space, "budget", None)
    if isinstance(budget, GrowthBudget):
        for value in values_of(budget.domain):
            yield GrowthBound(budget.metric, value)  # type: ignore[arg-type]


def run_baselines(
    config: StudyConfig,
    task: TrialTask,
    recorder: Recorder,
    report: Report,
    run: Run,
    *,
    budget: TimeBudget,
    share: float,
) -> int:
    """Run what is not in the ledger yet, in this process; return how many were left out.

    They are trials like any other, but no sampler hears of them and they are not among the study's
    number of trials, see `count_baselines`. None begins once so large a ``share`` of the time
    budget is spent, as the search is what it is for.
    """
    wanted = _to_run(config, recorder)
    for place, candidate in enumerate(wanted):
        if budget.spent_share() >= share:
            return len(wanted) - place
        start = recorder.begin(candidate, {})
        seed = config.search.seed
        try:
            with ended_in_time(budget):
                trial = run_to_its_end(candidate, task, study_seed=seed, report=report, run=run)
        except TimeIsUp:
            recorder.abandon(start.id)
            return len(wanted) - place
        recorder.finish(trial)
    return 0


def count_baselines(config: StudyConfig, recorder: Recorder) -> int:
    """Return how many baselines a run has when those of its study have run.

    An edited study has others than it had before, which stay in the run.
    """
    ran = sum(trial.kind == BaselineCandidate.kind for trial in recorder.trials.values())
    return ran + len(_to_run(config, recorder))


def _to_run(config: StudyConfig, recorder: Recorder) -> list[BaselineCandidate]:
    candidates = baseline_candidates(config)
    return [each for each in candidates if not _has_run(each, recorder)]


def _has_run(candidate: BaselineCandidate, recorder: Recorder) -> bool:
    """Tell whether a baseline is in the ledger; "mine" is the same one whatever the recipe."""
    if recorder.known(candidate) is not None:
        return True
    own = [candidate_from_json(t.config) for t in recorder.trials.values() if t.is_mine]
    return any(isinstance(each, BaselineCandidate) and _is_same(candidate, each) for each in own)
