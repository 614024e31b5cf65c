"""Costs of bounds: the choice without one, and the least loosening that changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from growsearch.pareto.feasibility import probability
from growsearch.pareto.point import Bound, Direction, Point
from growsearch.pareto.ties import TieRule


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCost:
    """What one bound costs: the choice without it, and the least loosening that changes anything.

    ``gain`` is the improvement in the first objective if the bound were dropped; it can be negative
    where the choice is by knee, or the cheapest of a tie. ``alternative`` is then chosen. ``step``
    is the point that misses this bound by the least of those that meet all others and whose
    admission changes the choice, ``step_choice`` what is then chosen (where ties go to the cheapest
    it may be another one) and ``step_gain`` its improvement; None and 0 where the bound changes
    nothing.
    """

    bound: Bound
    gain: float
    alternative: Point
    step: Point | None
    step_gain: float
    step_choice: Point | None

    @property
    def binds(self) -> bool:
        """Whether the choice would be another one without this bound."""
        return self.step is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The points of a choice, best first, and what they have to meet."""

    points: Sequence[Point]
    directions: Mapping[str, Direction]
    confidence: float | None

    def inside(self, bounds: Sequence[Bound]) -> list[Point]:
        """Return the points that meet ``bounds``, best first."""
        return [point for point in self.points if fits(point, bounds, self.confidence)]

    def gain(self, point: Point, chosen: Point) -> float:
        """Return by how much a point is better than another in the first objective."""
        name, direction = next(iter(self.directions.items()))
        difference = point.values[name] - chosen.values[name]
        return difference if direction == "maximize" else -difference


def fits(point: Point, bounds: Sequence[Bound], confidence: float | None) -> bool:
    """Tell whether a point meets ``bounds``, as surely as is asked."""
    if any(bound.missed_by(point) > 0 for bound in bounds):
        return False
    return confidence is None or probability(point, bounds) >= confidence


def bound_costs(
    ranked: Ranked, bounds: Sequence[Bound], chosen: Point, rule: TieRule | None
) -> tuple[BoundCost, ...]:
    """Return what each of ``bounds`` costs.

    Args:
        ranked: all that were compared.
        bounds: those of the choice.
        chosen: what was chosen.
        rule: by which ties go to the cheapest; None where the first one is taken.
    """
    return tuple(_cost(ranked, bound, bounds, chosen, rule) for bound in bounds)


def _cost(
    ranked: Ranked, bound: Bound, bounds: Sequence[Bound], chosen: Point, rule: TieRule | None
) -> BoundCost:
    others = [other for other in bounds if other is not bound]
    without = ranked.inside(others)
    if rule is None:
        alternative = without[0]
        better = without[: without.index(chosen)]
        # Earlier in the ranking wins a tie: min keeps the first.
        step = then = min(better, key=bound.missed_by) if better else None
    else:
        alternative = rule.of(without).taken
        inside = {point.id for point in ranked.inside(bounds)}
        step, then = _first_change(without, inside, bound, rule)
    return BoundCost(
        bound=bound,
        gain=ranked.gain(alternative, chosen),
        alternative=alternative,
        step=step,
        step_gain=ranked.gain(then, chosen) if then else 0.0,
        step_choice=then,
    )


def _first_change(
    without: Sequence[Point], inside: set[str], bound: Bound, rule: TieRule
) -> tuple[Point | None, Point | None]:
    """Admit points in the order in which they miss the bound, until the choice is another one."""
    place = {point.id: number for number, point in enumerate(without)}
    admitted = [point for point in without if point.id in inside]
    ties = rule.of(admitted)
    chosen = ties.taken
    outside = [point for point in without if point.id not in inside]
    for point in sorted(outside, key=lambda p: (bound.missed_by(p), place[p.id])):
        admitted.append(point)
        if not rule.matters(ties, point):
            continue
        admitted.sort(key=lambda p: place[p.id])
        ties = rule.of(admitted)
        if ties.taken is not chosen:
            return point, ties.taken
    return None, None
