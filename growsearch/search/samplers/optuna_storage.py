"""Optuna storage of a run, made from the ledger, for optuna-dashboard."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FixedTrial, TrialState, create_trial

from growsearch.files import write_bytes
from growsearch.kinds import suggest_candidate
from growsearch.reading import reading
from growsearch.report.run_data import read_run
from growsearch.search.config.file import load_study
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.run_folder import RunFolder, Start
from growsearch.search.samplers.replay import params_of
from growsearch.trial.record import Trial

OPTUNA_FILE = "optuna.log"


def write_optuna_storage(folder: Path) -> Path:
    """Write RUN/optuna.log, Optuna's journal of the run's trials, again if it is there.

    `optuna-dashboard RUN/optuna.log` shows it. Finished trials are COMPLETE, those that were
    stopped early PRUNED, failed ones FAIL; id, kind and all metrics are user attributes. Each has
    the times at which it began and ended; of lines that do not say when, the duration alone is
    real, from the run's begin on.

    Raises:
        UsageError: if the folder is no run.
        GrowsearchError: if the file cannot be written.
    """
    run, config = read_run(folder), load_study(folder / "study.yaml", run=True)
    starts = RunFolder(folder).read_starts()
    begun = _begun(run.study)
    with tempfile.TemporaryDirectory(prefix="growsearch-optuna-") as place:
        journal = Path(place) / OPTUNA_FILE
        with (
            reading(folder, "restore its started.jsonl, or remove it"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = _empty_study(config, journal)
            # No sampler has heard of others, which are baselines.
            searched = [trial for trial in run.trials if trial.kind in config.trials.names]
            for trial in sorted(searched, key=lambda each: each.number):
                start = starts.get(trial.id)
                params = params_of(trial.config, config.trials) if start is None else start.params
                made = _frozen(trial, dict(params), config)
                made.datetime_start, made.datetime_complete = _times(trial, start, begun)
                study.add_trial(made)
        write_bytes(folder / OPTUNA_FILE, journal.read_bytes())
    return folder / OPTUNA_FILE


def _begun(study: Mapping[str, Any]) -> float:
    """Return when the run began, in Unix time: what `provenance` has written down, else 1970."""
    written = (study.get("provenance") or {}).get("started")
    try:
        return max(0.0, datetime.fromisoformat(str(written)).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0.0


def _times(trial: Trial, start: Start | None, begun: float) -> tuple[datetime, datetime]:
    """Return when a trial began and ended, as Optuna wants it: this machine's local time.

    It began when its start was written, if that is known: an interrupted one ran in between.
    """
    took = max(0.0, trial.duration_s)
    if trial.ended_at is None:
        first = begun if start is None or start.started_at is None else start.started_at
        return _local(first), _local(first + took)
    first = trial.ended_at - took
    if start is not None and start.started_at is not None:
        first = min(start.started_at, trial.ended_at)
    return _local(first), _local(trial.ended_at)


def _local(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(max(0.0, seconds))
    except (ValueError, OverflowError, OSError):
        # A duration of a foreign ledger that leads out of the calendar.
        return datetime.fromtimestamp(0)


def _empty_study(config: StudyConfig, journal: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name=config.name,
        directions=list(config.objectives.values()),
        storage=JournalStorage(JournalFileBackend(str(journal))),
    )
    study.set_metric_names(list(config.objectives))
    return study


def _frozen(
    trial: Trial, params: dict[str, object], config: StudyConfig
) -> optuna.trial.FrozenTrial:
    fixed = FixedTrial(params)
    suggest_candidate(fixed, config.trials)
    finished = trial.finished and all(name in trial.metrics for name in config.objectives)
    unfinished = TrialState.PRUNED if trial.stopped else TrialState.FAIL
    attributes = {"id": trial.id, "kind": trial.kind, **trial.metrics}
    return create_trial(
        state=TrialState.COMPLETE if finished else unfinished,
        params=fixed.params,
        distributions=fixed.distributions,
        values=[trial.metrics[name] for name in config.objectives] if finished else None,
        user_attrs=attributes if trial.error is None else {**attributes, "error": trial.error},
    )
