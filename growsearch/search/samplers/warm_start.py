"""Warm start: finished trials of earlier runs that are candidates of this study."""

from __future__ import annotations

from growsearch.datasets import same_dataset
from growsearch.errors import UsageError
from growsearch.report.run_data import read_run
from growsearch.search.config.study import StudyConfig
from growsearch.search.samplers.replay import params_of
from growsearch.trial.record import Trial


def earlier_trials(config: StudyConfig) -> list[Trial]:
    """Return the finished trials of the runs in ``search.warm_start`` that can be compared here.

    A trial is passed over if it lacks a value for an objective or a constraint of this study, or is
    not in its space. Of two that are the same candidate the later one counts.

    Raises:
        UsageError: if a folder is no run, or one on other data.
    """
    found: dict[str, Trial] = {}
    needed = {*config.objectives, *config.constraints}
    for folder in config.search.warm_start:
        try:
            run = read_run(folder)
        except UsageError as error:
            raise UsageError(f"search.warm_start: {error}") from error
        if not same_dataset(run.study.get("dataset"), config.dataset):
            raise UsageError(
                f"search.warm_start: {folder} is a run on {run.study.get('dataset')}, this study "
                f"is on {config.dataset}; results on other data cannot be compared, remove it"
            )
        for trial in run.finished:
            if needed <= trial.metrics.keys() and _belongs(trial, config):
                found[repr(sorted(trial.config.items()))] = trial
    return list(found.values())


def _belongs(trial: Trial, config: StudyConfig) -> bool:
    try:
        params_of(trial.config, config.trials)
        space = config.trials[str(trial.config.get("kind"))]
    except (UsageError, ValueError, TypeError, ArithmeticError):
        # Whatever a foreign ledger says that it trained, it is nothing that this study asks.
        return False
    # Networks that began with other weights are others.
    return trial.config.get("init") == space.init
