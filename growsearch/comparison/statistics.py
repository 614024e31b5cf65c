"""Statistics of two groups of runs: an interval of a mean, and a rank test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy import stats

_RESAMPLES = 10_000
_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over ``count`` runs and its 95 % bootstrap interval, None for a single run."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """Two groups held against each other by the ranks of their values.

    ``p_value`` is that of the two-sided Mann-Whitney U test, exact where no values are equal;
    ``least_p`` is the smallest that groups of this size can reach. ``superiority`` is the chance
    that a run of the first group is above one of the second (Vargha and Delaney's A).
    """

    first: str
    second: str
    counts: tuple[int, int]
    p_value: float
    least_p: float
    superiority: float


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the mean of ``values`` with its percentile bootstrap interval (Efron 1979).

    Resampled 10,000 times from ``seed``, so that the same values give the same interval.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return Interval(mean=float(array.mean()), low=None, high=None, count=len(array))
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(array), size=(_RESAMPLES, len(array)))
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(array[chosen].mean(axis=1), [tail, 1 - tail])
    return Interval(mean=float(array.mean()), low=float(low), high=float(high), count=len(array))


def rank_test(
    first: tuple[str, Sequence[float]], second: tuple[str, Sequence[float]]
) -> Test | None:
    """Compare two named groups of values; None where one has fewer than two."""
    (name, values), (other, others) = first, second
    counts = (len(values), len(others))
    if min(counts) < 2:
        return None
    statistic, p_value = stats.mannwhitneyu(values, others, alternative="two-sided")
    return Test(
        first=name,
        second=other,
        counts=counts,
        p_value=float(p_value),
        # The two most extreme of all equally likely orders.
        least_p=min(1.0, 2 / comb(sum(counts), counts[0])),
        superiority=float(statistic) / (counts[0] * counts[1]),
    )
