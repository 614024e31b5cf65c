"""Uncertainty of what a choice compares: intervals of accuracies, and when two differ at all."""

from __future__ import annotations

import math

from scipy.stats import binom
from scipy.stats import t as student

from growsearch.pareto.point import Point

# The 97.5 % quantile of the standard normal distribution: 95 % lie between minus this and this.
Z95 = 1.959963984540054


def wilson(share: float, examples: int, z: float = Z95) -> tuple[float, float]:
    """Return the interval of a share that was counted on so many examples, by Wilson's formula.

    With p the share, n the examples and z the quantile, it is
    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    (Wilson 1927, JASA 22:209; Brown, Cai and DasGupta 2001, Statistical Science 16:101, eq. 4).
    Unlike p -+ z sqrt(p(1-p)/n) it stays in [0, 1], and is an interval where all are right.

    Args:
        share: in [0, 1].
        examples: at least 1.
        z: of the standard normal; the usual one is for 95 %.

    Example:
        >>> from growsearch.pareto.uncertainty import wilson
        >>> [round(end, 4) for end in wilson(0.9, 100)]
        [0.8256, 0.9448]
    """
    scale = 1 + z * z / examples
    centre = share + z * z / (2 * examples)
    half = z * math.sqrt(share * (1 - share) / examples + (z / (2 * examples)) ** 2)
    # The share itself is inside, which rounding may deny at 0 and 1.
    return max(0.0, min(share, (centre - half) / scale)), min(
        1.0, max(share, (centre + half) / scale)
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return how likely two equal networks differ as much as these, in (0, 1]: McNemar, mid-p.

    On the same examples only those count that one of the two alone is right about: of b + c of
    them, b are the first's with probability 1/2 each if the two are equally good. The p-value is
    two-sided and counts half of the observed case (Fagerland, Lydersen and Laake 2013, BMC Medical
    Research Methodology 13:91), as the exact one is too careful with few examples. At 5 % it tells
    equal networks apart in up to 7.7 % of cases, where few examples differ.

    Args:
        only_first: examples that the first alone is right about, b.
        only_second: those of the second alone, c.

    Example:
        >>> from growsearch.pareto.uncertainty import mcnemar
        >>> round(mcnemar(6, 1), 4), mcnemar(2, 2)
        (0.0703, 1.0)
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0 or only_first == only_second:
        return 1.0
    tail = 2 * float(binom.cdf(fewer, total, 0.5)) - float(binom.pmf(fewer, total, 0.5))
    # Where hundreds differ one way alone, a float has no such small number.
    return min(1.0, max(tail, 5e-324))


def within_one_error(best: float, other: float, examples: int) -> bool:
    """Tell whether an accuracy is within one standard error of the highest.

    The standard error is sqrt(p(1-p)/n) of the highest (Breiman et al. 1984, Classification and
    Regression Trees, 3.4.3), and at least one example: a single one is no difference.

    Example:
        >>> from growsearch.pareto.uncertainty import within_one_error
        >>> within_one_error(0.9, 0.88, 100), within_one_error(0.9, 0.86, 100)
        (True, False)
    """
    return best - other <= one_error(best, examples) + 1e-12


def one_error(share: float, examples: int) -> float:
    """Return the standard error of a share; see `within_one_error`.

    Example:
        >>> from growsearch.pareto.uncertainty import one_error
        >>> round(one_error(0.9, 100), 6), one_error(1.0, 100)
        (0.03, 0.01)
    """
    return max(math.sqrt(share * (1 - share) / examples), 1 / examples)


def is_small(share: float, examples: int) -> bool:
    """Tell whether so many examples are few: their 95 % interval is wider than one point.

    Then what is drawn into the validation data may move an accuracy by half a point either way;
    decision 0030 has the reason and the figures.

    Example:
        >>> from growsearch.pareto.uncertainty import is_small
        >>> is_small(0.95, 5000), is_small(0.95, 10_000)
        (True, False)
    """
    low, high = wilson(share, examples)
    return high - low > 0.01


def told_apart(first: Point, second: Point, name: str) -> bool:
    """Tell whether two values differ by more than their measurements would, with 95 % certainty.

    What was not measured has no noise, and differs if it is different.

    Example:
        >>> from growsearch.pareto import Point
        >>> from growsearch.pareto.uncertainty import told_apart
        >>> first, second = (
        ...     Point(id=name, values={"latency": value}, noise={"latency": 0.03})
        ...     for name, value in (("a", 1.0), ("b", 1.05))
        ... )
        >>> told_apart(first, second, "latency")
        False
    """
    noise = math.hypot(first.noise.get(name, 0.0), second.noise.get(name, 0.0))
    return abs(first.values[name] - second.values[name]) > Z95 * noise


def mean_interval(values: list[float]) -> tuple[float, float, float]:
    """Return mean, standard deviation (of n - 1) and half the 95 % interval of the mean, by t.

    Args:
        values: at least two.

    Example:
        >>> from growsearch.pareto.uncertainty import mean_interval
        >>> [round(each, 4) for each in mean_interval([0.9, 0.92, 0.94])]
        [0.92, 0.02, 0.0497]
    """
    count = len(values)
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(student.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
    return mean, deviation, half
