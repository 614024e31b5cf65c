"""Selection: the network that fits a person's bounds best, what each bound costs, near misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from growsearch.errors import UsageError
from growsearch.pareto.bound_costs import BoundCost, Ranked, bound_costs
from growsearch.pareto.feasibility import probability
from growsearch.pareto.point import Bound, Direction, Point
from growsearch.pareto.preferences import ranking
from growsearch.pareto.ties import TieBreak, tie_rule
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

    @property
    def examples(self) -> int | None:
        """What accuracies were counted on, where that is known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice inside the bounds, or the nearest miss where nothing fits.

    ``chosen`` is None where nothing fits; ``nearest`` then has the smallest largest relative
    excess, and ``misses`` gives its relative excess for every objective that it misses.
    ``runner_up`` is the next front member inside the bounds, or the next point where no other
    member fits. ``likelihood`` tells how likely the chosen or the nearest meets all bounds, given
    how far its values may be off; where ``confidence`` was asked for, nothing less likely fits, and
    ``nearest`` is the likeliest of those whose values are inside, if there are such. ``ties`` are
    those of the highest accuracy, where that is what is preferred and the examples are known.
    """

    chosen: Point | None
    runner_up: Point | None
    costs: tuple[BoundCost, ...]
    nearest: Point | None
    misses: Mapping[str, float]
    likelihood: float = 1.0
    confidence: float | None = None
    ties: TieBreak | None = None


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
    ranked = Ranked(
        points=sorted(front.points, key=lambda point: (rank(point), point.id)),
        directions=front.directions,
        confidence=confidence,
    )
    rule = tie_rule(front.directions, front.examples, wishes.prefer, wishes.ties)
    fitting = ranked.inside(bounds)
    if not fitting:
        return _nearest(front, bounds, confidence)
    ties = None if rule is None else rule.of(fitting)
    chosen = fitting[0] if ties is None else ties.taken
    # The rule may apply at other bounds even if it does not at these: "auto" goes by accuracy.
    asked = rule if rule is not None and rule.asked != "highest" else None
    return Selection(
        chosen=chosen,
        runner_up=_runner_up(front, [point for point in fitting if point is not chosen]),
        costs=bound_costs(ranked, bounds, chosen, asked),
        nearest=None,
        misses={},
        likelihood=probability(chosen, bounds),
        confidence=confidence,
        ties=ties,
    )


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
