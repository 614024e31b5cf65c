"""By what is a network preferred inside the bounds? One line a preference; smaller ranks first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, get_args

from growsearch.errors import UsageError
from growsearch.pareto.front import Front, Point

Preference = Literal["accuracy", "knee", "hypervolume", "weights"]
Weights = Mapping[str, float]
_Rank = Callable[[Front, Point, Weights], float]


def rank(front: Front, point: Point, prefer: str, weights: Weights | None) -> tuple[float, ...]:
    """Return the key by which points are ordered: the smallest is preferred.

    Ties fall to the objectives in their order.

    Raises:
        UsageError: for an unknown preference, or weights without "weights" or of no use.
    """
    values = tuple(_signed(front, name, point.values[name]) for name in front.directions)
    if prefer not in get_args(Preference):
        raise UsageError(f"--prefer: unknown {prefer!r}; valid: {', '.join(PREFERENCES)}")
    weights = _checked(front, prefer, weights)
    score = _RANKS.get(prefer)
    return values if score is None else (score(front, point, weights), *values)


def _signed(front: Front, name: str, value: float) -> float:
    return -value if front.directions[name] == "maximize" else value


def _checked(front: Front, prefer: str, weights: Weights | None) -> dict[str, float]:
    if not weights:
        if prefer == "weights":
            raise UsageError("--prefer weights: give at least one --weight OBJECTIVE=NUMBER")
        return {}
    if prefer != "weights":
        raise UsageError(f"--weight goes with --prefer weights, not with {prefer}")
    for name, weight in weights.items():
        if name not in front.directions:
            raise UsageError(
                f"--weight: {name!r} is no objective; it has: {', '.join(front.directions)}"
            )
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"--weight: {name} = {weight} is not a number of at least 0")
    return {name: weights.get(name, 1.0) for name in front.directions}


def _behind(front: Front, point: Point) -> dict[str, float]:
    """Return how far each value is from the front's best, in widths of the front: 0 is the best."""
    found = {}
    for name in front.directions:
        column = [_signed(front, name, member.values[name]) for member in front.members]
        spread = max(column) - min(column) or 1.0
        found[name] = (_signed(front, name, point.values[name]) - min(column)) / spread
    return found


def _distance_to_ideal(front: Front, point: Point, _: Weights) -> float:
    return math.hypot(*_behind(front, point).values())


def _lost_volume(front: Front, point: Point, _: Weights) -> float:
    """Return minus the share of the front's box that ``point`` dominates by itself."""
    return -math.prod(max(0.0, 1.0 - gap) for gap in _behind(front, point).values())


def _weighted(front: Front, point: Point, weights: Weights) -> float:
    return sum(weights[name] * gap for name, gap in _behind(front, point).items())


_RANKS: dict[str, _Rank] = {
    "knee": _distance_to_ideal,
    "hypervolume": _lost_volume,
    "weights": _weighted,
}

# For people: what each preference takes.
PREFERENCES: dict[str, str] = {
    "accuracy": "the best of the first objective",
    "knee": "the nearest to the best of every objective, scaled to the front",
    "hypervolume": "the one that dominates most of the front's box by itself",
    "weights": "the least weighted sum of distances to the best, scaled to the front",
}
