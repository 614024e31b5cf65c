"""Selection: the network that fits a person's bounds best, what each bound costs, near misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from growsearch.errors import UsageError
from growsearch.pareto.feasibility import probability
from growsearch.pareto.point import Bound, Direction, Point
from growsearch.pareto.preferences import ranking
from growsearch.pareto.wishes import Wishes


class Compared(Protocol):
    """What a choice is made from: a `Front`."""

    @property
    def directions(self) -> Mapping[str, Direction]:
        """Which way is better, by objective; the first is the one that choices are ranked by."""
        ...

    @property
    def points(self) -> tuple[Point, ...]:
        """All that were compared."""
        ...

    @property
    def members(self) -> tuple[Point, ...]:
        """Those that nothing dominates."""
        ...


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
    member fits. ``likelihood`` tells how likely the chosen or the nearest meets all bounds, given
    how far its values may be off; where ``confidence`` was asked for, nothing less likely fits, and
    ``nearest`` is the likeliest of those whose values are inside, if there are such.
    """

    chosen: Point | None
    runner_up: Point | None
    costs: tuple[BoundCost, ...]
    nearest: Point | None
    misses: Mapping[str, float]
    likelihood: float = 1.0
    confidence: float | None = None


def choose(front: Compared, wishes: Wishes) -> Selection:
    """Choose among the points of ``front``: the one function behind every choice.

    Every compared point is eligible, since a bound may be on a value that is no objective; the
    choice is a front member wherever bounds are on objectives.

    Raises:
        UsageError: for an unknown objective or preference, useless weights, a confidence that is no
            probability, or an empty front.

    Example:
        >>> from growsearch.pareto import Front, Wishes, parse_bound
        >>> from growsearch.pareto.selection import choose
        >>> front = Front.of(
        ...     [{"accuracy": 0.9, "macs": 1000.0}, {"accuracy": 0.8, "macs": 500.0}],
        ...     {"accuracy": "maximize", "macs": "minimize"},
        ... )
        >>> found = choose(front, Wishes(bounds=(parse_bound("macs=600", "max"),)))
        >>> found.chosen.id, round(found.costs[0].gain, 3)
        ('1', 0.1)
    """
    bounds, confidence = wishes.bounds, wishes.confidence
    if not front.points:
        raise UsageError("select: no finished trial to choose from; run the search first")
    if confidence is not None and not 0 < confidence < 1:
        raise UsageError(f"--confidence: {confidence} is not between 0 and 1; write 0.9 or 90%")
    _check_bounds(front, bounds)
    # The id comes last so that equal points do not depend on the order in which trials finished.
    rank = ranking(front.members, front.directions, wishes.prefer, wishes.weights)
    ranked = sorted(front.points, key=lambda point: (rank(point), point.id))
    fitting = [p for p in ranked if _fits(p, bounds, confidence)]
    if not fitting:
        return _nearest(front, bounds, confidence)
    chosen = fitting[0]
    return Selection(
        chosen=chosen,
        runner_up=_runner_up(front, fitting[1:]),
        costs=tuple(_cost_of(front, bound, bounds, ranked, confidence) for bound in bounds),
        nearest=None,
        misses={},
        likelihood=probability(chosen, bounds),
        confidence=confidence,
    )


def _fits(point: Point, bounds: Sequence[Bound], confidence: float | None) -> bool:
    if any(bound.missed_by(point) > 0 for bound in bounds):
        return False
    return confidence is None or probability(point, bounds) >= confidence


def _check_bounds(front: Compared, bounds: Sequence[Bound]) -> None:
    for bound in bounds:
        if not all(bound.objective in point.values for point in front.points):
            known = set.intersection(*(set(point.values) for point in front.points))
            raise UsageError(
                f"--{bound.sense}: no value {bound.objective!r} in this run; "
                f"it has: {', '.join(sorted(known))}"
            )


def _runner_up(front: Compared, others: Sequence[Point]) -> Point | None:
    members = {member.id for member in front.members}
    return next((p for p in others if p.id in members), others[0] if others else None)


def _cost_of(
    front: Compared,
    bound: Bound,
    bounds: Sequence[Bound],
    ranked: Sequence[Point],
    confidence: float | None,
) -> BoundCost:
    others = [other for other in bounds if other is not bound]
    without = [p for p in ranked if _fits(p, others, confidence)]
    place = next(index for index, p in enumerate(without) if _fits(p, bounds, confidence))
    chosen, better = without[place], without[:place]
    # Earlier in the ranking wins a tie: min keeps the first.
    step = min(better, key=bound.missed_by) if better else None
    return BoundCost(
        bound=bound,
        gain=_gain(front, without[0], chosen),
        alternative=without[0],
        step=step,
        step_gain=_gain(front, step, chosen) if step else 0.0,
    )


def _gain(front: Compared, point: Point, chosen: Point) -> float:
    name, direction = next(iter(front.directions.items()))
    difference = point.values[name] - chosen.values[name]
    return difference if direction == "maximize" else -difference


def _nearest(front: Compared, bounds: Sequence[Bound], confidence: float | None) -> Selection:
    def excess(point: Point) -> float:
        return max(bound.missed_by(point) for bound in bounds)

    nearest = min(front.points, key=lambda p: (excess(p), -probability(p, bounds), p.id))
    misses: dict[str, float] = {}
    for bound in bounds:
        worst = max(misses.get(bound.objective, 0.0), bound.missed_by(nearest))
        if worst > 0:
            misses[bound.objective] = worst
    return Selection(
        chosen=None,
        runner_up=None,
        costs=(),
        nearest=nearest,
        misses=misses,
        likelihood=probability(nearest, bounds),
        confidence=confidence,
    )
