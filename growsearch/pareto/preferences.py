"""Preferences between networks inside the bounds: one line each; smaller ranks first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from growsearch.errors import UsageError
from growsearch.pareto.point import Direction, Point

Preference = Literal["accuracy", "knee", "hypervolume", "weights"]
Weights = Mapping[str, float]
# Of how far each value is from the front's best, in widths of the front: 0 is the best.
_Rank = Callable[[Mapping[str, float], Weights], float]


def ranking(
    members: Sequence[Point],
    directions: Mapping[str, Direction],
    prefer: str,
    weights: Weights | None,
) -> Callable[[Point], tuple[float, ...]]:
    """Return the key by which points are ordered: the smallest is preferred.

    ``members`` are the front's. Ties fall to the objectives in their order.

    Raises:
        UsageError: for an unknown preference, or weights without "weights" or of no use.
    """
    if prefer not in PREFERENCES:
        raise UsageError(f"--prefer: unknown {prefer!r}; valid: {', '.join(PREFERENCES)}")
    checked, score = _checked(directions, prefer, weights), _SCORES.get(prefer)
    if score is None:
        return lambda point: _signed(directions, point)
    lows, highs = _ends(members, directions)

    def rank(point: Point) -> tuple[float, ...]:
        values = _signed(directions, point)
        behind = {
            name: (value - low) / (high - low or 1.0)
            for name, value, low, high in zip(directions, values, lows, highs, strict=True)
        }
        return (score(behind, checked), *values)

    return rank


def _signed(directions: Mapping[str, Direction], point: Point) -> tuple[float, ...]:
    values = point.values
    # A list first: there are ten thousand points, and a generator takes twice as long.
    return tuple([-values[n] if way == "maximize" else values[n] for n, way in directions.items()])


def _ends(
    members: Sequence[Point], directions: Mapping[str, Direction]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    columns = list(zip(*(_signed(directions, member) for member in members), strict=True))
    return tuple(map(min, columns)), tuple(map(max, columns))


def _checked(
    directions: Mapping[str, Direction], prefer: str, weights: Weights | None
) -> dict[str, float]:
    if not weights:
        if prefer == "weights":
            raise UsageError("--prefer weights: give at least one --weight OBJECTIVE=NUMBER")
        return {}
    if prefer != "weights":
        raise UsageError(f"--weight goes with --prefer weights, not with {prefer}")
    for name, weight in weights.items():
        if name not in directions:
            raise UsageError(f"--weight: {name!r} is no objective; it has: {', '.join(directions)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"--weight: {name} = {weight} is not a number of at least 0")
    return {name: weights.get(name, 1.0) for name in directions}


def _distance_to_ideal(behind: Mapping[str, float], _: Weights) -> float:
    return math.hypot(*behind.values())


def _minus_own_volume(behind: Mapping[str, float], _: Weights) -> float:
    """Return minus the share of the front's box that a point dominates by itself."""
    return -math.prod(max(0.0, 1.0 - gap) for gap in behind.values())


def _weighted(behind: Mapping[str, float], weights: Weights) -> float:
    return sum(weights[name] * gap for name, gap in behind.items())


_SCORES: dict[str, _Rank] = {
    "knee": _distance_to_ideal,
    "hypervolume": _minus_own_volume,
    "weights": _weighted,
}

# For people: what each preference takes.
PREFERENCES: dict[str, str] = {
    "accuracy": "the best of the first objective",
    "knee": "the nearest to the best of every objective, scaled to the front",
    "hypervolume": "the one that dominates most of the front's box by itself",
    "weights": "the least weighted sum of distances to the best, scaled to the front",
}
