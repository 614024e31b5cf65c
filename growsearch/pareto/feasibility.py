"""Probability of feasibility: how likely does a network meet a bound, its value being uncertain?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from growsearch.pareto.point import Point

if TYPE_CHECKING:
    from growsearch.pareto.point import Bound


def probability(point: Point, bounds: Sequence[Bound]) -> float:
    """Return how likely ``point`` meets all ``bounds``, in [0, 1].

    A value with a spread is taken as normal around what was found, with that spread as its standard
    deviation; values without one are certain, and different values independent. Of several bounds
    on one value the joint probability is exact, as it has to lie between them.

    Example:
        >>> from growsearch.pareto import Bound, Point, probability
        >>> point = Point(id="a", values={"latency[cpu]": 1.0}, spread={"latency[cpu]": 0.1})
        >>> probability(point, [Bound(objective="latency[cpu]", sense="max", value=1.0)])
        0.5
    """
    total = 1.0
    for name in dict.fromkeys(bound.objective for bound in bounds):
        about = [bound for bound in bounds if bound.objective == name]
        total *= _inside(point, name, about)
    return total


def _inside(point: Point, name: str, bounds: Sequence[Bound]) -> float:
    low = max((b.value for b in bounds if b.sense == "min"), default=-math.inf)
    high = min((b.value for b in bounds if b.sense == "max"), default=math.inf)
    value, spread = point.values[name], point.spread.get(name, 0.0)
    if spread <= 0:
        return float(low <= value <= high)
    return max(0.0, _normal((high - value) / spread) - _normal((low - value) / spread))


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
