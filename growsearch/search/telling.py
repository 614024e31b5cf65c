"""What does the sampler hear of a finished trial, now or from an earlier session?"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

import optuna
from optuna.trial import TrialState

from growsearch.pareto import Bound
from growsearch.search.run_folder import Start
from growsearch.search.study_config import StudyConfig
from growsearch.search.suggest import suggest_candidate
from growsearch.trial.record import Trial

# Optuna keeps a constraint under this prefix of a trial's system attributes.
_CONSTRAINT_KEY = "constraints"


def create_study(config: StudyConfig, sampler: optuna.samplers.BaseSampler) -> optuna.study.Study:
    """Return an empty in-memory study with the objectives' directions."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=list(config.objectives.values()), sampler=sampler)


def excess(bound: Bound, trial: Trial) -> float:
    """Return how far a trial is from meeting ``bound``, in its unit: at most 0 if it does."""
    value = trial.metrics[bound.objective]
    return value - bound.value if bound.sense == "max" else bound.value - value


def is_feasible(trial: Trial, bounds: Sequence[Bound]) -> bool:
    """Tell whether a finished trial meets every hard constraint."""
    return all(excess(bound, trial) <= 0 for bound in bounds)


def tell(
    study: optuna.study.Study, asked: optuna.Trial, trial: Trial | None, config: StudyConfig
) -> None:
    """Give the outcome of one asked trial; None or a failed trial enters as FAIL."""
    if trial is None or not trial.finished:
        study.tell(asked, state=TrialState.FAIL)
        return
    for bound in config.bounds():
        asked.set_constraint(f"{bound.objective} {bound.sense}", excess(bound, trial))
    study.tell(asked, [trial.metrics[name] for name in config.objectives])


def warm_start(
    study: optuna.study.Study,
    trials: Iterable[Trial],
    starts: Mapping[str, Start],
    config: StudyConfig,
) -> None:
    """Add the finished trials of earlier sessions, with the parameters they were started with."""
    for trial in trials:
        start = starts.get(trial.id)
        if start is None or not trial.finished:
            continue
        asked = optuna.trial.FixedTrial(dict(start.params))
        suggest_candidate(asked, config.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.add_trial(
                optuna.trial.create_trial(
                    params=asked.params,
                    distributions=asked.distributions,
                    values=[trial.metrics[name] for name in config.objectives],
                    system_attrs={
                        f"{_CONSTRAINT_KEY}:{b.objective} {b.sense}": excess(b, trial)
                        for b in config.bounds()
                    },
                )
            )


def enqueue_unfinished(study: optuna.study.Study, starts: Iterable[Start]) -> None:
    """Put what was started and never finished first in the queue."""
    for start in starts:
        study.enqueue_trial(dict(start.params))
