"""Serial backend of a search: one trial after the other, in this process."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import optuna

from growsearch.errors import TimeLimitError
from growsearch.kinds import CandidateConfig, suggest_candidate
from growsearch.search.backends.time_budget import TimeBudget, TimeIsUp, ended_in_time
from growsearch.search.config.study import StudyConfig
from growsearch.search.fidelity.early_stopping import EarlyStopping, early_stopping, epoch_values
from growsearch.search.fidelity.prescreening import Asked, FirstFidelity, score_here
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.constraint_filter import ConstraintFilter
from growsearch.search.samplers.history import create_study, prepare, tell
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.samplers.registry import make_sampler
from growsearch.search.samplers.together import queue_together
from growsearch.training import EpochRecord
from growsearch.trial.record import Trial
from growsearch.trial.retries import Run, failed_trial, kept_outcome, run_to_its_end
from growsearch.trial.run import Listener, Report, StopTrialError
from growsearch.trial.task import TrialTask
from growsearch.trial.time_limit import interrupted_after
from growsearch.trial.trial_folder import trial_folder

# A small space can run dry: then the sampler repeats itself, and the search ends.
SUGGESTIONS_A_TRIAL = 5
REPEATS_IN_A_ROW = 100


def run_serial(
    config: StudyConfig,
    task: TrialTask,
    recorder: Recorder,
    report: Report,
    run: Run,
    *,
    budget: TimeBudget | None = None,
) -> None:
    """Run trials until the ledger holds as many as the study asks for, or time is up."""
    budget = budget or TimeBudget(seconds=None)
    foresight = StudyCosts(config, task)
    study = create_study(config, make_sampler(config, foresight))
    constraint_filter = ConstraintFilter(config, foresight, task.folder)
    prepare(study, config, recorder, constraint_filter)
    rung_zero = None
    if config.search.first_fidelity is not None:
        score = functools.partial(score_here, config=config, task=task)
        rung_zero = FirstFidelity(config, study, recorder, constraint_filter, score)
    stopping = early_stopping(config, recorder.trials.values())
    repeats = (SUGGESTIONS_A_TRIAL - 1) * config.search.most_trials
    if config.search.trials is None:
        # A small space that has run dry would repeat itself until time is up.
        repeats = REPEATS_IN_A_ROW
    left = repeats
    while len(recorder.trials) < config.search.most_trials and left >= 0:
        if not budget.admits(recorder.trials.values()):
            break
        chosen = _asked(study, config) if rung_zero is None else rung_zero.next()
        if chosen is None:
            break
        asked, candidate = chosen
        trial = recorder.known(candidate)
        if trial is not None:
            left -= 1
        elif rung_zero is None and constraint_filter.refuses(study, asked, candidate):
            continue
        else:
            if config.search.trials is None:
                left = repeats
            start = recorder.begin(candidate, asked.params)
            queue_together(study, candidate, config, recorder)
            listen = report if stopping is None else _judged(stopping, start.id, report)
            try:
                with ended_in_time(budget):
                    trial = _ended(candidate, task, config.search.seed, listen, run)
            except TimeIsUp:
                recorder.abandon(start.id)
                break
            trial = recorder.finish(trial if stopping is None else stopping.labelled(trial))
        tell(study, asked, trial, config)


def _ended(
    candidate: CandidateConfig, task: TrialTask, seed: int, report: Report, run: Run
) -> Trial:
    """Return what became of a trial, also where its time is over before or behind its training."""
    try:
        with interrupted_after(task.time_limit_s):
            return run_to_its_end(candidate, task, study_seed=seed, report=report, run=run)
    except TimeLimitError as error:
        # It may have come to its end at this very moment.
        failed = failed_trial(candidate, seed, f"TimeLimitError: {error}")
        return kept_outcome(trial_folder(task.folder, failed.id)) or failed


def _asked(study: optuna.study.Study, config: StudyConfig) -> Asked:
    asked = study.ask()
    return asked, suggest_candidate(asked, config.trials)


def _judged(stopping: EarlyStopping, name: str, report: Report) -> Listener:
    """Return a report that ends the trial where a rung says so."""

    def judge(record: EpochRecord) -> None:
        if not stopping.goes_on(name, record.epoch, epoch_values(record)):
            raise StopTrialError

    def listen(record: EpochRecord) -> None:
        report(record)
        judge(record)

    def resumed(records: Sequence[EpochRecord]) -> None:
        for record in records[:-1]:
            stopping.passed(name, record.epoch, epoch_values(record))
        # The crash may have come before this one's rung was asked.
        judge(records[-1])

    return Listener(listen, resumed, report.step if isinstance(report, Listener) else None)
