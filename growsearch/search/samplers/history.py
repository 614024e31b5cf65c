"""History of a sampler: what it hears of finished trials, now or from an earlier session."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from growsearch.pareto import Bound
from growsearch.reading import reading
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import Start
from growsearch.search.samplers.constraint_filter import (
    ConstraintFilter,
    add_trial,
    constraint_name,
)
from growsearch.search.samplers.initial_points import points_to_evaluate
from growsearch.search.samplers.replay import answers_of, candidate_of, kept_candidate, params_of
from growsearch.search.samplers.together import QUEUED, only_groups, queue_together
from growsearch.search.samplers.warm_start import earlier_trials
from growsearch.trial.record import Trial

_REMEDY = "its files are of another study: restore them, or start anew with --fresh"


def create_study(config: StudyConfig, sampler: optuna.samplers.BaseSampler) -> optuna.study.Study:
    """Return an empty in-memory study with the objectives' directions."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=list(config.objectives.values()), sampler=sampler)


def is_feasible(trial: Trial, bounds: Sequence[Bound]) -> bool:
    """Tell whether a finished trial meets every hard constraint."""
    return all(bound.excess(trial.metrics[bound.objective]) <= 0 for bound in bounds)


def tell(
    study: optuna.study.Study, asked: optuna.Trial, trial: Trial | None, config: StudyConfig
) -> None:
    """Give the outcome of one asked trial; None or a failed trial enters as FAIL.

    One that was stopped early enters as PRUNED: its results are of too few epochs to compare.
    """
    if trial is None or trial.failed:
        study.tell(asked, state=TrialState.FAIL)
        return
    if trial.stopped:
        study.tell(asked, state=TrialState.PRUNED)
        return
    for bound in config.bounds():
        asked.set_constraint(constraint_name(bound), bound.excess(trial.metrics[bound.objective]))
    study.tell(asked, [trial.metrics[name] for name in config.objectives])


def prepare(
    study: optuna.study.Study,
    config: StudyConfig,
    recorder: Recorder,
    constraint_filter: ConstraintFilter,
) -> None:
    """Let a fresh Optuna study know all that is known, and queue what is to run first.

    Known are earlier runs (`search.warm_start`), this run's ledger and what was rejected. What was
    started and never finished comes first, then what shares its training with what was started,
    the study's points to evaluate, and what is trained together where there is no other choice.

    Raises:
        UsageError: if the files of the run hold answers to other questions than the study asks.
    """
    for trial in earlier_trials(config):
        _add(study, trial, params_of(trial.config, config.trials), config)
    with reading(recorder.folder.path, _REMEDY):
        starts = _starts_of(config, recorder)
        warm_start(study, recorder.trials.values(), starts, config)
        constraint_filter.restore(study)
        # What the study of before an edit had begun and this one would not draw is left.
        unfinished = [starts[s.id] for s in recorder.unfinished() if s.id in starts]
        for start in unfinished:
            # An answer that is none would be asked again, and the trial be another one.
            kept_candidate(start.params, config.trials)
        enqueue_unfinished(study, unfinished)
        for start in starts.values():
            queue_together(study, start.candidate, config, recorder)
    for params in points_to_evaluate(config.trials, config.search.points_to_evaluate):
        if recorder.known(candidate_of(params, config.trials)) is None:
            study.enqueue_trial(params, user_attrs=QUEUED, skip_if_exists=True)
    for candidate in only_groups(config.trials):
        queue_together(study, candidate, config, recorder)


def _starts_of(config: StudyConfig, recorder: Recorder) -> dict[str, Start]:
    """Return the starts that are of this study, with its answers: not all are of an edited one."""
    starts = {i: s for i, s in recorder.starts.items() if s.candidate.kind in config.trials.names}
    if not recorder.folder.edits.exists():
        return starts
    seed = config.search.seed
    found = {name: answers_of(start, config.trials, seed) for name, start in starts.items()}
    return {
        name: dataclasses.replace(starts[name], params=params)
        for name, params in found.items()
        if params is not None
    }


def warm_start(
    study: optuna.study.Study,
    trials: Iterable[Trial],
    starts: Mapping[str, Start],
    config: StudyConfig,
) -> None:
    """Add the trials of earlier sessions, with the parameters they were started with."""
    for trial in trials:
        start = starts.get(trial.id)
        if start is not None and not trial.failed and trial.kind in config.trials.names:
            _add(study, trial, start.params, config)


def _add(
    study: optuna.study.Study, trial: Trial, params: Mapping[str, Any], config: StudyConfig
) -> None:
    if trial.stopped:
        add_trial(study, params, config, TrialState.PRUNED)
        return
    add_trial(
        study,
        params,
        config,
        TrialState.COMPLETE,
        values=[trial.metrics[name] for name in config.objectives],
        constraints={
            constraint_name(b): b.excess(trial.metrics[b.objective]) for b in config.bounds()
        },
    )


def enqueue_unfinished(study: optuna.study.Study, starts: Iterable[Start]) -> None:
    """Put what was started and never finished first in the queue."""
    for start in starts:
        study.enqueue_trial(dict(start.params), user_attrs=QUEUED)
