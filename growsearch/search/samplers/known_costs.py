"""Known costs of a study's candidates before they train, with constraints and descriptors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from growsearch.datasets import Dataset
from growsearch.fault_origin import of_the_machine
from growsearch.kinds import (
    CandidateConfig,
    Forecast,
    ForecastContext,
    forecast,
    kind_of,
    trial_seed,
)
from growsearch.kinds.forecasts import LIVE_NUMBERS
from growsearch.pareto import Bound
from growsearch.search.config.study import StudyConfig
from growsearch.search.samplers.gp_ehvi.candidates import KnownCosts
from growsearch.search.samplers.replay import candidate_of
from growsearch.trial.task import TrialTask

# A sampler looks at hundreds of candidates a suggestion: along the sparsity, or growth's budget,
# only so many networks are built, and between two of them costs are interpolated.
_PLACES = 9
# And no more than so many for one study; what lies beyond is unknown beforehand, and is learned.
_MAX_NETWORKS = 200
_UNKNOWN = Forecast()


class StudyCosts:
    """Forecasts of one study's candidates: exact for one that is asked about, quick for many.

    Args:
        config: the study.
        task: its data and devices.
    """

    def __init__(self, config: StudyConfig, task: TrialTask) -> None:
        self._config, self._task = config, task
        self._dataset: Dataset | None = None
        self._devices: Mapping[str, Path | None] = {
            device: task.profiles.get(device) for device in task.devices
        }
        self._networks: dict[CandidateConfig, Forecast] = {}
        self._bounds = config.bounds()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the data and the networks out: they come again when they are asked for."""
        return self.__dict__ | {"_dataset": None, "_networks": {}}

    def exact(self, candidate: CandidateConfig) -> Forecast:
        """Return the forecast of one candidate, from the network that it would train."""
        context = ForecastContext(
            dataset=self._data(),
            seed=trial_seed(candidate, self._config.search.seed),
            devices=self._devices,
        )
        found = forecast(candidate, context)
        return _UNKNOWN if found is None else found

    def broken(self, candidate: CandidateConfig) -> dict[Bound, float]:
        """Return the hard constraints that a candidate is certain to break, each with its value."""
        if not self._bounds:
            return {}
        return _broken(self.exact(candidate), self._bounds)

    def quick(self, candidate: CandidateConfig) -> Forecast:
        """Return the forecast between two built networks; all but one number is equal.

        The number is the sparsity, or growth's budget.
        """
        kind = kind_of(candidate)
        plain = kind.same_network(candidate)
        axis = kind.axis(self._config.trials[kind.name], plain)
        if axis is None:
            return self._built(plain)
        low_end, high_end = float(axis.domain.low), float(axis.domain.high)
        place = (axis.value - low_end) / (high_end - low_end) * (_PLACES - 1)
        below = min(max(int(place), 0), _PLACES - 2)
        step = (high_end - low_end) / (_PLACES - 1)
        low, high = (self._built(axis.at(low_end + k * step)) for k in (below, below + 1))
        return _between(low, high, place - below)

    def for_sampler(self) -> KnownCosts:
        """Return what GP-EHVI asks: costs in the objectives' order, descriptors, constraints."""
        return KnownCosts(
            costs=self._costs, descriptors=self._descriptors, feasible=self._feasible, choices=True
        )

    def _costs(self, params: Mapping[str, Any]) -> Sequence[float]:
        known = self._quick_of(params).metrics
        names = (name for name in self._config.objectives if name != "accuracy")
        return [known.get(name, math.nan) for name in names]

    def _descriptors(self, params: Mapping[str, Any]) -> Sequence[float]:
        return self._quick_of(params).live or (0.0,) * LIVE_NUMBERS

    def _feasible(self, params: Mapping[str, Any]) -> bool:
        return not self._bounds or not _broken(self._quick_of(params), self._bounds)

    def _quick_of(self, params: Mapping[str, Any]) -> Forecast:
        return self.quick(candidate_of(params, self._config.trials))

    def _built(self, candidate: CandidateConfig) -> Forecast:
        found = self._networks.get(candidate)
        if found is None:
            full = len(self._networks) >= _MAX_NETWORKS
            found = _UNKNOWN if full else self.exact(candidate)
            if not full:
                self._networks[candidate] = found
        return found

    def _data(self) -> Dataset:
        if self._dataset is None:
            with of_the_machine():
                self._dataset = self._task.data.load().dataset
        return self._dataset


def _broken(found: Forecast, bounds: Sequence[Bound]) -> dict[Bound, float]:
    broken: dict[Bound, float] = {}
    for bound in bounds:
        known = found.least if bound.sense == "max" else found.metrics
        value = known.get(bound.objective)
        if value is not None and bound.excess(value) > 0:
            broken[bound] = value
    return broken


def _between(low: Forecast, high: Forecast, share: float) -> Forecast:
    def mixed(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
        return {name: (1 - share) * a[name] + share * b[name] for name in a if name in b}

    return Forecast(
        metrics=mixed(low.metrics, high.metrics),
        least=mixed(low.least, high.least),
        live=tuple((1 - share) * a + share * b for a, b in zip(low.live, high.live, strict=False)),
    )
