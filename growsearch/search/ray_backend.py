"""How does a search run on Ray? Tune schedules trials; the ledger is the record."""

from __future__ import annotations

import functools
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from growsearch.errors import GrowsearchError, UsageError
from growsearch.search.answers import candidate_of
from growsearch.search.foresight import StudyForesight
from growsearch.search.ray_stopping import RungScheduler
from growsearch.search.recorder import Recorder
from growsearch.search.rejections import Gate
from growsearch.search.sampler import make_sampler
from growsearch.search.serial_backend import SUGGESTIONS_A_TRIAL
from growsearch.search.stopping import (
    EPOCH,
    VALUES,
    EarlyStopping,
    early_stopping,
    epoch_values,
    stopped_at_rung,
)
from growsearch.search.study_config import StudyConfig
from growsearch.search.suggest import suggest_for_ray
from growsearch.search.telling import prepare, tell
from growsearch.training import EpochRecord
from growsearch.trial.config import config_from_json, trial_id
from growsearch.trial.record import Trial
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask

_MODES = {"maximize": "max", "minimize": "min"}
_LINE = "ledger_line"
_FATAL = "fatal"
# A worker that dies (out of memory, a lost node) is given this many more chances.
_MAX_FAILURES = 3


def trainable(
    config: dict[str, Any], task: TrialTask, study_seed: int, rungs: tuple[int, ...] = ()
) -> None:
    """Run one trial in a worker and report its ledger line; the driver writes it.

    After the epochs of ``rungs`` it reports what early stopping compares.
    """
    if config.get("known"):
        tune.report({_LINE: config["known"]})
        return
    try:
        trial = run_trial(
            config_from_json(config["candidate"]),
            task,
            number=0,
            study_seed=study_seed,
            report=lambda record: _report_rung(record, rungs),
        )
    except GrowsearchError as error:
        # Storage or input: every other trial would meet it too.
        tune.report({_FATAL: str(error)})
        return
    tune.report({_LINE: trial.to_line()})


def _report_rung(record: EpochRecord, rungs: tuple[int, ...]) -> None:
    if record.epoch in rungs:
        tune.report({EPOCH: record.epoch, VALUES: json.dumps(epoch_values(record))})


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
        stopping: EarlyStopping | None = None,
    ) -> None:
        foresight = StudyForesight(config, task)
        super().__init__(
            functools.partial(suggest_for_ray, kinds=config.trials.model_dump(mode="json")),
            metric=list(config.objectives),
            mode=[_MODES[direction] for direction in config.objectives.values()],
            sampler=make_sampler(config, foresight),
        )
        self._config = config
        self._recorder = recorder
        self._stopping = stopping
        self._gate = Gate(config, foresight, task.folder)
        prepare(self._ot_study, config, recorder, self._gate)
        self._fresh_left = config.search.trials - len(recorder.trials)

    def suggest(self, trial_id: str) -> Any:
        """Return Tune's config of the next candidate, or that the search is at its end."""
        if self._fresh_left <= 0:
            return OptunaSearch.FINISHED
        while True:
            suggestion = super().suggest(trial_id)
            candidate = config_from_json(suggestion["candidate"])
            known = self._recorder.known(candidate)
            asked = self._ot_trials[trial_id]
            if known is not None or not self._gate.refuses(self._ot_study, asked, candidate):
                break
            del self._ot_trials[trial_id]
        if known is not None:
            return {"candidate": candidate.to_json(), "known": known.to_line()}
        self._fresh_left -= 1
        self._recorder.begin(candidate, self._ot_trials[trial_id].params)
        return {"candidate": candidate.to_json(), "known": ""}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Do nothing: a trial counts when it is complete."""

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna, once a result's ledger line is on disk."""
        if trial_id in self._completed_trials:
            return
        self._completed_trials.add(trial_id)
        trial = None
        if result and not error:
            trial = self._ended(trial_id, result)
        if trial is not None:
            trial = self._recorder.finish(trial)
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


class _Watch(tune.Callback):  # type: ignore[misc]
    """Notes workers that died, and stops the search at a fatal error."""

    def __init__(self, recorder: Recorder, seed: int) -> None:
        self._recorder = recorder
        self._seed = seed
        self.fatal: str | None = None

    def on_trial_result(self, *, result: Mapping[str, Any], **_: Any) -> None:
        """Keep the first fatal message."""
        if result.get(_FATAL) and self.fatal is None:
            self.fatal = str(result[_FATAL])

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Leave a trial whose worker died too often unfinished."""
        self._recorder.abandon(trial_id(config_from_json(trial.config["candidate"]), self._seed))


class _StopAtFatal(tune.Stopper):  # type: ignore[misc]
    """Ends the whole search once a trial has met what every other trial would meet too."""

    def __init__(self) -> None:
        self._fatal = False

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:  # noqa: ARG002
        self._fatal = self._fatal or bool(result.get(_FATAL))
        return self._fatal

    def stop_all(self) -> bool:
        return self._fatal


def run_ray(config: StudyConfig, task: TrialTask, recorder: Recorder) -> None:
    """Run trials on a local Ray until the ledger holds as many as the study asks for.

    Raises:
        GrowsearchError: if Ray cannot start, or a trial met a storage error; the ledger is intact.
    """
    missing = config.search.trials - len(recorder.trials)
    if missing <= 0:
        return
    _quiet()
    watch = _Watch(recorder, config.search.seed)
    with tempfile.TemporaryDirectory(prefix="growsearch-tune-") as scratch:
        _start_ray(config.search.parallel)
        try:
            _tuner(config, task, recorder, watch, Path(scratch)).fit()
        finally:
            ray.shutdown()
    if watch.fatal is not None:
        raise GrowsearchError(watch.fatal)


def _tuner(
    config: StudyConfig, task: TrialTask, recorder: Recorder, watch: _Watch, scratch: Path
) -> tune.Tuner:
    stopping = early_stopping(config, recorder.trials.values())
    bound = tune.with_parameters(
        trainable,
        task=task,
        study_seed=config.search.seed,
        rungs=() if stopping is None else stopping.rungs[:-1],
    )
    return tune.Tuner(
        tune.with_resources(bound, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=LedgerSearch(config, task, recorder, stopping),
            scheduler=None if stopping is None else RungScheduler(stopping, config.search.seed),
            num_samples=SUGGESTIONS_A_TRIAL * config.search.trials,
            max_concurrent_trials=config.search.parallel,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(scratch),
            name="tune",
            verbose=0,
            callbacks=[watch],
            failure_config=tune.FailureConfig(max_failures=_MAX_FAILURES),
            stop=_StopAtFatal(),
        ),
    )


def _start_ray(parallel: int) -> None:
    if ray.is_initialized():
        raise UsageError("Ray runs in this process already; call ray.shutdown() first")
    try:
        ray.init(
            num_cpus=parallel,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ConnectionError, ValueError) as error:
        raise GrowsearchError(
            f"Ray did not start: {error}. Try again, or run with --backend serial"
        ) from error


def _quiet() -> None:
    """Leave the terminal to our own progress line."""
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # A worker reports its ledger line; the searcher reads the objectives out of it.
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="ray.*")
