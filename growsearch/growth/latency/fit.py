"""Latency terms fitted to some networks: the time of given widths, without asking the device.

A sum of amounts of work, each times a number of seconds that is fitted to some networks' times:
least squares of relative errors, no number below 0 (spec: about 20 networks are enough for one
space, as its networks differ in widths only).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cost_models.profiling.nonnegative_least_squares import nonnegative_least_squares
from growsearch.growth.latency.features import Feature

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTerms:
    """Seconds as a sum of products of group sizes; see `CostTerms` for what ``terms`` holds."""

    names: tuple[str, ...]
    terms: tuple[tuple[float, tuple[int, ...]], ...]
    _coefficients: Array = field(init=False, repr=False, compare=False)
    _factors: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        most = max((len(groups) for _, groups in self.terms), default=0)
        # Places without a group point behind the last one, to a size of 1.
        padded = [groups + (len(self.names),) * (most - len(groups)) for _, groups in self.terms]
        factors = np.array(padded, dtype=np.int64).reshape(len(self.terms), most)
        object.__setattr__(self, "_factors", factors)
        object.__setattr__(self, "_coefficients", np.array([c for c, _ in self.terms]))

    def seconds(self, sizes: Sequence[float]) -> float:
        """Return the time of the network with these sizes, in the order of ``names``."""
        values = np.array([*sizes, 1.0])
        return float(self._coefficients @ values[self._factors].prod(axis=1))

    def marginals(self, sizes: Sequence[float]) -> Array:
        """Return the seconds that one more structure of each name costs, (names,).

        Sizes must be above 0.
        """
        values = np.array([*sizes, 1.0])
        each = self._coefficients * values[self._factors].prod(axis=1)
        slopes = np.zeros(len(values))
        for column in self._factors.T:
            np.add.at(slopes, column, each / values[column])
        return slopes[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTerms:
    """Fitted terms, and how far they miss: ``error`` is the mean relative error of the networks
    that were fitted, each predicted by a fit to the others."""

    terms: LatencyTerms
    error: float
    seconds_by_feature: dict[str, float]


def fit_latency(
    features: Sequence[Feature], sizes: Sequence[Sequence[int]], seconds: Sequence[float]
) -> FittedTerms:
    """Fit ``seconds`` of the networks with ``sizes``."""
    amounts = np.array([[f.terms.exact(row) for f in features] for row in sizes], dtype=np.float64)
    times = np.array(seconds)
    found = nonnegative_least_squares(amounts, times)
    misses = [_held_out_miss(amounts, times, place) for place in range(len(times))]
    merged: dict[tuple[int, ...], float] = {}
    for feature, each in zip(features, found.tolist(), strict=True):
        for coefficient, groups in feature.terms.terms:
            merged[groups] = merged.get(groups, 0.0) + each * coefficient
    return FittedTerms(
        terms=LatencyTerms(
            names=features[0].terms.names,
            terms=tuple((c, groups) for groups, c in merged.items() if c > 0),
        ),
        error=float(np.mean(misses)),
        seconds_by_feature={f.name: c for f, c in zip(features, found.tolist(), strict=True)},
    )


def _held_out_miss(amounts: Array, times: Array, place: int) -> float:
    """Return the relative error of one network, predicted by a fit to the others."""
    others = np.arange(len(times)) != place
    coefficients = nonnegative_least_squares(amounts[others], times[others])
    return abs(float(amounts[place] @ coefficients) / float(times[place]) - 1)
