"""Samplers by the name that a study gives."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import optuna

from cost_models import DEVICES
from growsearch.errors import UsageError
from growsearch.kinds import suggest_candidate
from growsearch.kinds.latency import latency_metric
from growsearch.search.config.study import StudyConfig
from growsearch.search.samplers.gp_ehvi.sampler import GPEHVISampler, GPEHVISettings
from growsearch.search.samplers.known_costs import StudyCosts

Make = Callable[[StudyConfig, StudyCosts], optuna.samplers.BaseSampler]

# The metric that only training tells, and its best value.
_LEARNED, _CEILING = "accuracy", 1.0
# A model of all results is worth its time up to so many trials; see `chosen_sampler`.
_MAX_FOR_GP_EHVI, _MAX_FOR_TPE = 200, 1000
# A study's candidates are described in Python: fewer of them keep a suggestion quick.
_RANDOM_CANDIDATES, _MUTANTS = 200, 10


def _tpe(config: StudyConfig, _: StudyCosts) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # Optuna calls ``group`` experimental; without it a conditional space is sampled at random.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=config.search.seed, multivariate=True, group=True)


def _nsga2(config: StudyConfig, _: StudyCosts) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=config.search.seed, population_size=20)


def _gp(config: StudyConfig, _: StudyCosts) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.GPSampler(seed=config.search.seed, deterministic_objective=False)


def _random(config: StudyConfig, _: StudyCosts) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=config.search.seed)


def _gp_ehvi(config: StudyConfig, foresight: StudyCosts) -> optuna.samplers.BaseSampler:
    objectives = list(config.objectives)
    if _LEARNED not in objectives or config.objectives[_LEARNED] != "maximize":
        raise UsageError(
            "search.sampler = gp-ehvi: models the accuracy beside costs, so that the objectives "
            "need accuracy: maximize; add it, or choose another sampler"
        )
    return GPEHVISampler(
        seed=config.search.seed,
        foresight=foresight.for_sampler(),
        space=functools.partial(suggest_candidate, kinds=config.trials),
        settings=GPEHVISettings(
            metric=objectives.index(_LEARNED),
            ceiling=_CEILING,
            random_candidates=_RANDOM_CANDIDATES,
            mutants=_MUTANTS,
        ),
    )


SAMPLERS: dict[str, Make] = {
    "random": _random,
    "tpe": _tpe,
    "nsga2": _nsga2,
    "gp": _gp,
    "gp-ehvi": _gp_ehvi,
}
AUTO = "auto"


def chosen_sampler(config: StudyConfig) -> str:
    """Return the name of the sampler that a study gets; "auto" chooses by space and budget.

    Accuracy against costs that are all known beforehand, in at most 200 trials: "gp-ehvi". Else up
    to 1,000 trials: "tpe", multivariate, which suits mixed and conditional spaces. Beyond: "nsga2".

    Raises:
        UsageError: for an unknown name; the message lists the valid ones.
    """
    name = config.search.sampler
    if name != AUTO:
        if name not in SAMPLERS:
            raise UsageError(
                f"search.sampler: unknown {name!r}; valid: {', '.join((AUTO, *SAMPLERS))}"
            )
        return name
    # How many fit into a time budget nobody knows: "tpe" suits any number that is likely.
    trials = config.search.trials or _MAX_FOR_TPE
    if trials <= _MAX_FOR_GP_EHVI and costs_are_known(config):
        return "gp-ehvi"
    return "tpe" if trials <= _MAX_FOR_TPE else "nsga2"


def costs_are_known(config: StudyConfig) -> bool:
    """Tell whether a study is of accuracy against costs that every candidate's network tells.

    Growth decides on a network while it trains, and so do updaters that make it sparser; a measured
    latency is known once it is measured.
    """
    known = all(kind.costs_are_known(space) for kind, space in config.trials.items())
    if config.objectives.get(_LEARNED) != "maximize" or not known:
        return False
    estimated = {
        latency_metric(device)
        for device in config.devices
        if device in config.profiles or DEVICES[device].kind != "measured"
    }
    costs = config.objectives.keys() - {_LEARNED}
    return bool(costs) and costs <= {"macs", "dense_macs", "parameters"} | estimated


def make_sampler(config: StudyConfig, foresight: StudyCosts) -> optuna.samplers.BaseSampler:
    """Build a study's sampler.

    Raises:
        UsageError: for an unknown name, or one that does not suit the study.
    """
    return SAMPLERS[chosen_sampler(config)](config, foresight)
