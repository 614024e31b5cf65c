"""Which algorithm proposes candidates? Optuna's samplers by the name that a study gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna

from growsearch.errors import UsageError


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # Optuna calls ``group`` experimental; without it a conditional space is sampled at random.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _nsga2(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)


def _random(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


# "auto": multivariate TPE, which won among Optuna's samplers on tables up to a few hundred trials.
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "auto": _tpe,
    "tpe": _tpe,
    "nsga2": _nsga2,
    "random": _random,
}


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Build the sampler called ``name``.

    Raises:
        UsageError: for an unknown name; the message lists the valid ones.
    """
    if name not in SAMPLERS:
        raise UsageError(f"search.sampler: unknown {name!r}; valid: {', '.join(SAMPLERS)}")
    return SAMPLERS[name](seed)
