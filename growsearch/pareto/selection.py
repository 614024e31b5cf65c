"""Which network of a front fits a person's bounds best, and what does each bound cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from growsearch.errors import UsageError
from growsearch.pareto.front import Front, Point

Preference = Literal["accuracy", "knee"]
Sense = Literal["max", "min"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """``value`` is the most (sense "max") or the least ("min") that an objective may be."""

    objective: str
    sense: Sense
    value: float

    def excess(self, point: Point) -> float:
        """Return by how much ``point`` misses the bound, relative to it; 0 if it is met."""
        actual = point.values[self.objective]
        gap = actual - self.value if self.sense == "max" else self.value - actual
        return max(0.0, gap / abs(self.value)) if self.value else max(0.0, gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCost:
    """What one bound costs: the choice without it, and the least loosening that changes anything.

    ``gain`` is the improvement in the first objective if the bound were dropped; it can be negative
    where the choice is by knee. ``alternative`` is then chosen. ``step`` is the point that ranks
    before the choice, meets all other bounds and misses this one by the least, and ``step_gain``
    its improvement; None and 0 where the bound changes nothing.
    """

    bound: Bound
    gain: float
    alternative: Point
    step: Point | None
    step_gain: float

    @property
    def binds(self) -> bool:
        """Whether the choice would be another one without this bound."""
        return self.step is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice inside the bounds, or the nearest miss where nothing fits.

    ``chosen`` is None where nothing fits; ``nearest`` then has the smallest largest relative
    excess, and ``misses`` gives its relative excess for every objective that it misses.
    ``runner_up`` is the next front member inside the bounds, or the next point where no other
    member fits.
    """

    chosen: Point | None
    runner_up: Point | None
    costs: tuple[BoundCost, ...]
    nearest: Point | None
    misses: Mapping[str, float]


def select(
    front: Front, constraints: Sequence[Bound] | Mapping[str, float], prefer: Preference
) -> Selection:
    """Choose among the points of ``front``.

    Every compared point is eligible, since a bound may be on a value that is no objective; the
    choice is a front member wherever bounds are on objectives. A mapping is short for upper bounds
    on minimised objectives and lower bounds on maximised ones.

    Raises:
        UsageError: for an unknown objective or preference, or an empty front.
    """
    if not front.points:
        raise UsageError("select: no finished trial to choose from; run the search first")
    bounds = _bounds(front, constraints)
    # The id comes last so that equal points do not depend on the order in which trials finished.
    ranked = sorted(front.points, key=lambda point: (_rank(front, point, prefer), point.id))
    fitting = [p for p in ranked if all(b.excess(p) == 0 for b in bounds)]
    if not fitting:
        return _nearest(front, bounds)
    chosen = fitting[0]
    return Selection(
        chosen=chosen,
        runner_up=_runner_up(front, fitting[1:]),
        costs=tuple(_cost_of(front, bound, bounds, ranked) for bound in bounds),
        nearest=None,
        misses={},
    )


def _bounds(front: Front, constraints: Sequence[Bound] | Mapping[str, float]) -> tuple[Bound, ...]:
    known = set.intersection(*(set(point.values) for point in front.points))
    if isinstance(constraints, Mapping):
        constraints = [
            Bound(
                objective=name,
                sense="min" if front.directions.get(name) == "maximize" else "max",
                value=value,
            )
            for name, value in constraints.items()
        ]
    for bound in constraints:
        if bound.objective not in known:
            raise UsageError(
                f"--{bound.sense}: no value {bound.objective!r} in this run; "
                f"it has: {', '.join(sorted(known))}"
            )
    return tuple(constraints)


def _rank(front: Front, point: Point, prefer: Preference) -> tuple[float, ...]:
    """Smaller is better. Ties in the first objective fall to the others, in their order."""
    values = [
        (-1 if direction == "maximize" else 1) * point.values[name]
        for name, direction in front.directions.items()
    ]
    if prefer == "accuracy":
        return tuple(values)
    if prefer == "knee":
        return (_distance_to_ideal(front, point), *values)
    raise UsageError(f"--prefer: unknown {prefer!r}; valid: accuracy, knee")


def _distance_to_ideal(front: Front, point: Point) -> float:
    """Return the Euclidean distance to the best of every objective, each scaled to the front."""
    total = 0.0
    for name in front.directions:
        column = [member.values[name] for member in front.members]
        spread = max(column) - min(column) or 1.0
        best = max(column) if front.directions[name] == "maximize" else min(column)
        total += ((point.values[name] - best) / spread) ** 2
    return float(total**0.5)


def _runner_up(front: Front, others: Sequence[Point]) -> Point | None:
    members = {member.id for member in front.members}
    return next((p for p in others if p.id in members), others[0] if others else None)


def _cost_of(
    front: Front, bound: Bound, bounds: Sequence[Bound], ranked: Sequence[Point]
) -> BoundCost:
    others = [other for other in bounds if other is not bound]
    without = [p for p in ranked if all(b.excess(p) == 0 for b in others)]
    place = next(index for index, p in enumerate(without) if bound.excess(p) == 0)
    chosen, better = without[place], without[:place]
    # Earlier in the ranking wins a tie: min keeps the first.
    step = min(better, key=bound.excess) if better else None
    return BoundCost(
        bound=bound,
        gain=_gain(front, without[0], chosen),
        alternative=without[0],
        step=step,
        step_gain=_gain(front, step, chosen) if step else 0.0,
    )


def _gain(front: Front, point: Point, chosen: Point) -> float:
    name, direction = next(iter(front.directions.items()))
    difference = point.values[name] - chosen.values[name]
    return difference if direction == "maximize" else -difference


def _nearest(front: Front, bounds: Sequence[Bound]) -> Selection:
    nearest = min(front.points, key=lambda p: (max(b.excess(p) for b in bounds), p.id))
    misses: dict[str, float] = {}
    for bound in bounds:
        worst = max(misses.get(bound.objective, 0.0), bound.excess(nearest))
        if worst > 0:
            misses[bound.objective] = worst
    return Selection(chosen=None, runner_up=None, costs=(), nearest=nearest, misses=misses)
