"""Ray backend of a search: Tune schedules trials; the ledger is the record."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search.optuna import OptunaSearch

from growsearch.errors import GrowsearchError
from growsearch.fault_origin import machine_error, of_the_machine
from growsearch.files import storage_error
from growsearch.kinds import CandidateConfig, candidate_from_json
from growsearch.kinds.trial_kinds import suggest_for_ray
from growsearch.search.backends.ray.distributed import WAITING_CPUS, DataParallelRun
from growsearch.search.backends.ray.early_stopping import RungScheduler, rung_reports
from growsearch.search.backends.ray.prescreening import rung_zero
from growsearch.search.backends.ray.trouble import FATAL, StopAtTrouble, TrialWatch, Trouble
from growsearch.search.backends.serial import REPEATS_IN_A_ROW, SUGGESTIONS_A_TRIAL
from growsearch.search.backends.time_budget import TimeBudget
from growsearch.search.cluster.measuring_node import with_measuring_nodes
from growsearch.search.cluster.session import check_here, check_nodes, ray_session
from growsearch.search.config.study import StudyConfig
from growsearch.search.fidelity.early_stopping import (
    EPOCH,
    EarlyStopping,
    early_stopping,
    stopped_at_rung,
)
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.constraint_filter import ConstraintFilter
from growsearch.search.samplers.history import prepare, tell
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.samplers.registry import make_sampler
from growsearch.search.samplers.replay import candidate_of
from growsearch.search.samplers.together import queue_together
from growsearch.trial.record import Trial
from growsearch.trial.retries import (
    MAX_FAILURES,
    Run,
    failed_trial,
    keep_outcome,
    kept_outcome,
    run_to_its_end,
    train_and_score,
)
from growsearch.trial.task import TrialTask
from growsearch.trial.time_limit import watchdog
from growsearch.trial.trial_folder import trial_folder

_MODES = {"maximize": "max", "minimize": "min"}
_LINE = "ledger_line"
# Workers and Ray itself take seconds to stop, more on a busy machine.
_STOPPING_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """Where a search runs on Ray, and what runs a candidate there.

    ``address`` is "auto" or HOST:PORT of a cluster; None starts a Ray of this machine's.
    """

    address: str | None = None
    run: Run = train_and_score


def trainable(
    config: dict[str, Any],
    task: TrialTask,
    study_seed: int,
    run: Run,
    rungs: tuple[int, ...] = (),
) -> None:
    """Run one trial in a worker and report its ledger line; the driver writes it.

    After the epochs of ``rungs`` it reports what early stopping compares.
    """
    if config.get("known"):
        tune.report({_LINE: config["known"]})
        return
    try:
        task.bring_code()
        candidate = candidate_from_json(config["candidate"])
        check_here(task)
        with watchdog(task.time_limit_s, _last_words(candidate, task, study_seed)):
            trial = run_to_its_end(
                candidate,
                task,
                study_seed=study_seed,
                report=rung_reports(rungs),
                run=run,
            )
    except Exception as error:
        # A trial's own trouble is in its ledger line: this one every other trial would meet too.
        tune.report({FATAL: str(machine_error(error, task.folder))})
        return
    tune.report({_LINE: trial.to_line()})


def _last_words(candidate: CandidateConfig, task: TrialTask, seed: int) -> Callable[[str], None]:
    """Return what writes a hanging trial's outcome down and ends its process.

    A thread that waits inside C cannot be stopped, its process can. The trial comes back with the
    outcome, as one whose worker died.
    """

    def end(message: str) -> None:
        trial = failed_trial(candidate, seed, f"TimeLimitError: {message}")
        folder = trial_folder(task.folder, trial.id)
        try:
            # One that came to its end at this very moment has its own.
            if folder.is_dir() and kept_outcome(folder) is None:
                keep_outcome(folder, trial)
        finally:
            os._exit(1)

    return end


class LedgerSearch(OptunaSearch):  # type: ignore[misc]
    """OptunaSearch that starts from a ledger, skips known candidates and hears constraints.

    Tune's own copy of a searcher goes stale when a driver dies, so that none is kept: the ledger
    and the starts say everything.
    """

    def __init__(
        self,
        config: StudyConfig,
        task: TrialTask,
        recorder: Recorder,
        trouble: Trouble,
        stopping: EarlyStopping | None = None,
        budget: TimeBudget | None = None,
    ) -> None:
        self._budget = budget or TimeBudget(seconds=None)
        foresight = StudyCosts(config, task)
        super().__init__(
            functools.partial(suggest_for_ray, kinds=config.trials.model_dump(mode="json")),
            metric=list(config.objectives),
            mode=[_MODES[direction] for direction in config.objectives.values()],
            sampler=make_sampler(config, foresight),
        )
        self._config = config
        self._recorder = recorder
        self._trouble = trouble
        self._stopping = stopping
        self._constraint_filter = ConstraintFilter(config, foresight, task.folder)
        prepare(self._ot_study, config, recorder, self._constraint_filter)
        self._rung_zero = rung_zero(config, task, self._ot_study, recorder, self._constraint_filter)
        self._fresh_left = config.search.most_trials - len(recorder.trials)
        self._repeats = 0

    def suggest(self, trial_id: str) -> Any:
        """Return Tune's config of the next candidate, or that the search is at its end."""
        if self._fresh_left <= 0 or self._trouble.error:
            return OptunaSearch.FINISHED
        if self._config.search.trials is None and self._repeats > REPEATS_IN_A_ROW:
            return OptunaSearch.FINISHED
        if not self._budget.admits(self._recorder.trials.values()):
            return OptunaSearch.FINISHED
        try:
            return self._suggested(trial_id)
        except GrowsearchError as error:
            self._trouble.note(error)
            return OptunaSearch.FINISHED

    def _suggested(self, trial_id: str) -> Any:
        candidate = self._next(trial_id)
        if candidate is None:
            return OptunaSearch.FINISHED
        known = self._recorder.known(candidate)
        if known is not None:
            self._repeats += 1
            return {"candidate": candidate.to_json(), "known": known.to_line()}
        self._fresh_left -= 1
        self._repeats = 0
        self._recorder.begin(candidate, self._ot_trials[trial_id].params)
        queue_together(self._ot_study, candidate, self._config, self._recorder)
        return {"candidate": candidate.to_json(), "known": ""}

    def _next(self, trial_id: str) -> CandidateConfig | None:
        """Return the next candidate, whose Optuna trial is this one's; None if there is no other.

        It may be known already.
        """
        if self._rung_zero is not None:
            chosen = self._rung_zero.next()
            if chosen is not None:
                self._ot_trials[trial_id] = chosen[0]
            return None if chosen is None else chosen[1]
        while True:
            suggestion = super().suggest(trial_id)
            candidate = candidate_from_json(suggestion["candidate"])
            asked = self._ot_trials[trial_id]
            if self._recorder.known(candidate) is not None or not self._constraint_filter.refuses(
                self._ot_study, asked, candidate
            ):
                return candidate
            del self._ot_trials[trial_id]

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Do nothing: a trial counts when it is complete."""

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna, once a result's ledger line is on disk; one that was not asked is kept."""
        if trial_id in self._completed_trials:
            return
        self._completed_trials.add(trial_id)
        trial = None
        if result and not error:
            trial = self._ended(trial_id, result)
        if trial is not None:
            try:
                trial = self._recorder.finish(trial)
            except GrowsearchError as problem:
                # Its outcome is in the trial's folder: the next session enters it.
                self._trouble.note(problem)
                trial = None
        if trial_id in self._ot_trials:
            tell(self._ot_study, self._ot_trials[trial_id], trial, self._config)

    def _ended(self, trial_id: str, result: Mapping[str, Any]) -> Trial | None:
        """Return the ledger entry of a trial that has ended, or was stopped at a rung."""
        if result.get(_LINE):
            trial = Trial.from_json(json.loads(result[_LINE]))
            return trial if self._stopping is None else self._stopping.labelled(trial)
        if self._stopping is None or EPOCH not in result:
            return None
        candidate = candidate_of(self._ot_trials[trial_id].params, self._config.trials)
        trial = stopped_at_rung(candidate, self._config.search.seed, result)
        return self._stopping.labelled(trial) if self._stopping.has_stopped(trial.id) else None

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Keep nothing; see the class."""

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing; see the class."""


def run_ray(
    config: StudyConfig,
    task: TrialTask,
    recorder: Recorder,
    options: RayOptions | None = None,
    *,
    budget: TimeBudget | None = None,
) -> None:
    """Run trials on Ray until the ledger holds as many as the study asks for, or time is up.

    Raises:
        GrowsearchError: if Ray cannot start, a node lacks the run's folder, or a trial met trouble
            of a machine, its storage or the data; the ledger is intact.
    """
    options = options or RayOptions()
    budget = budget or TimeBudget(seconds=None)
    budget.reserve(_STOPPING_S)
    if config.search.most_trials <= len(recorder.trials):
        return
    trouble, search = Trouble(), config.search
    cpus = search.parallel * search.cpus_per_trial * config.workers
    if config.workers > 1:
        cpus += math.ceil(search.parallel * WAITING_CPUS)
    with (
        _scratch(task.folder) as scratch,
        ray_session(cpus, search.gpus_per_trial, options.address),
    ):
        if options.address is not None:
            task = with_measuring_nodes(task, check_nodes(task))
        _tuner(config, task, recorder, trouble, _Run(options.run, scratch, budget)).fit()
    for name in tuple(recorder.running):
        # Time was up: the next session takes them up again.
        recorder.abandon(name)
    if trouble.error is not None:
        raise trouble.error


def scratch_folder(run: Path) -> Path:
    """Return where Tune keeps its own files while a search runs."""
    name = hashlib.sha256(str(run).encode()).hexdigest()[:12]
    with of_the_machine():
        return Path(tempfile.gettempdir()) / f"growsearch-tune-{os.getuid()}-{name}"


@contextmanager
def _scratch(run: Path) -> Iterator[Path]:
    """Give a folder for Tune's files; what a killed search left in it is removed unread."""
    folder = scratch_folder(run)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Run:
    """What runs a candidate, where Tune keeps its files, and how long the search may take."""

    run: Run
    scratch: Path
    budget: TimeBudget


def _tuner(
    config: StudyConfig,
    task: TrialTask,
    recorder: Recorder,
    trouble: Trouble,
    how: _Run,
) -> tune.Tuner:
    seed = config.search.seed
    stopping = early_stopping(config, recorder.trials.values())
    run, rungs = how.run, () if stopping is None else stopping.rungs[:-1]
    resources = {"cpu": config.search.cpus_per_trial, "gpu": config.search.gpus_per_trial}
    if config.workers > 1:
        run, resources = DataParallelRun.of(config, rungs), {"cpu": WAITING_CPUS}
    bound = tune.with_parameters(trainable, task=task, study_seed=seed, run=run, rungs=rungs)
    return tune.Tuner(
        tune.with_resources(bound, resources),
        tune_config=tune.TuneConfig(
            search_alg=LedgerSearch(config, task, recorder, trouble, stopping, how.budget),
            scheduler=None if stopping is None else RungScheduler(stopping, seed),
            num_samples=SUGGESTIONS_A_TRIAL * config.search.most_trials,
            max_concurrent_trials=config.search.parallel,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(how.scratch),
            name="tune",
            verbose=0,
            callbacks=[TrialWatch(recorder, seed, trouble)],
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            stop=StopAtTrouble(trouble, how.budget),
        ),
    )
