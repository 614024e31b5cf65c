"""Acquisition: which of many candidates is expected to add the most hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from growsearch.search.samplers.gp_ehvi.candidates import CandidateCache, DescribedCandidate
from growsearch.search.samplers.gp_ehvi.expected_improvement import Reached, expected_gain
from growsearch.search.samplers.gp_ehvi.gaussian_process import GaussianProcess
from growsearch.search.samplers.gp_ehvi.observations import Observations

Array = npt.NDArray[np.float64]

# An unknown cost is averaged over the middles of so many equally likely ranges.
_COST_QUANTILES = 6
# Without a given reference, hypervolume counts up to a tenth beyond the front's worst error.
_BEYOND_FRONT = 1.1
# And to so much of their range beyond the largest costs.
_MARGIN = 0.01
# An error counts as at most so many times the reference: how bad a bad one is says nothing.
_WORST_ERROR = 1.5


def front_of(history: Observations) -> list[int]:
    """Return the places of the results that nothing dominates, among those that are feasible."""
    places = np.flatnonzero(history.meets)
    if not len(places):
        return []
    values = np.column_stack([history.errors[places], history.costs[places]])
    if values.shape[1] == 1:
        return [int(places[np.argmin(values)])]
    return [int(place) for place in places[moocore.is_nondominated(values)]]


class Acquisition:
    """The models of the error and of unknown costs, and the choice by expected hypervolume.

    Args:
        book: describes candidates.
        reference: error first, then costs, all minimised; None to find it out as results come.
    """

    def __init__(self, book: CandidateCache, reference: Sequence[float] | None) -> None:
        self._book, self._reference = book, reference
        self._error_model = GaussianProcess()
        self._cost_models: dict[int, GaussianProcess] = {}

    @property
    def given_costs(self) -> Sequence[float] | None:
        """The given limits of the costs, minimised; None if they are to be found out."""
        return None if self._reference is None else self._reference[1:]

    def gains(self, history: Observations, candidates: Sequence[DescribedCandidate]) -> Array:
        """Return the expected hypervolume improvement of each candidate, shape (candidates,)."""
        reference = self._reference_for(history)
        self._fit(history, reference[0])
        mean, deviation = self._error_model.predict(self._book.features(candidates))
        reached = self._reached(history, reference)
        scenarios = self._cost_scenarios(history, candidates)
        gains = [expected_gain(reached, costs, mean, deviation) for costs in scenarios]
        return np.asarray(np.mean(gains, axis=0))

    def _reference_for(self, history: Observations) -> Array:
        if self._reference is not None:
            return np.array(self._reference, dtype=np.float64)
        front = front_of(history) or range(len(history.results))
        error = _BEYOND_FRONT * max(history.errors[place] for place in front)
        known = np.array([candidate.costs for candidate in self._book.drawn])
        costs = np.vstack([known, history.costs])
        most, least = np.nanmax(costs, axis=0), np.nanmin(costs, axis=0)
        return np.array([error, *(most + _MARGIN * (most - least))])

    def _fit(self, history: Observations, reference_error: float) -> None:
        errors = np.minimum(history.errors, _WORST_ERROR * reference_error)
        self._error_model.fit(self._book.features(history.results), np.log(errors))

    def _reached(self, history: Observations, reference: Array) -> Reached:
        """Return the front so far; a running trial counts with what is predicted of it."""
        costs, errors = history.costs[history.meets], history.errors[history.meets]
        if history.running:
            mean, _ = self._error_model.predict(self._book.features(history.running))
            middle = np.mean(self._cost_scenarios(history, history.running), axis=0)
            costs, errors = np.vstack([costs, middle]), np.append(errors, np.exp(mean))
        return Reached(
            costs=costs, errors=errors, reference=reference[1:], reference_error=reference[0]
        )

    def _cost_scenarios(
        self, history: Observations, candidates: Sequence[DescribedCandidate]
    ) -> Array:
        """Return equally likely costs, shape (scenarios, candidates, costs): one if all are known.

        An unknown cost takes the middles of its quantile ranges, in an order of its own.
        """
        known = np.array([candidate.costs for candidate in candidates])
        unknown = np.flatnonzero(np.isnan(known).any(axis=0))
        if not len(unknown):
            return known[None]
        places = ndtri((np.arange(_COST_QUANTILES) + 0.5) / _COST_QUANTILES)
        scenarios = np.repeat(known[None], _COST_QUANTILES, axis=0)
        choices = self._book.choices(candidates)
        for turn, column in enumerate(unknown):
            mean, deviation = self._cost_model(history, int(column)).predict(choices)
            order = np.random.default_rng(turn).permutation(places) if turn else places
            drawn = _from_log(mean + order[:, None] * deviation, history.costs[:, column])
            missing = np.isnan(known[:, column])
            scenarios[:, missing, column] = drawn[:, missing]
        return scenarios

    def _cost_model(self, history: Observations, column: int) -> GaussianProcess:
        model = self._cost_models.setdefault(column, GaussianProcess())
        model.fit(self._book.choices(history.results), _to_log(history.costs[:, column]))
        return model


def _to_log(costs: Array) -> Array:
    """Return the logarithm of costs of one sign, and other costs as they are."""
    if (costs > 0).all():
        return np.asarray(np.log(costs))
    if (costs < 0).all():
        return np.asarray(np.log(-costs))
    return costs


def _from_log(values: Array, told: Array) -> Array:
    if (told > 0).all():
        return np.asarray(np.exp(values))
    if (told < 0).all():
        return np.asarray(-np.exp(values))
    return values
