"""Ties of accuracy: networks that the validation examples do not tell apart, and the cheapest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from growsearch.errors import UsageError
from growsearch.pareto.point import Direction, Point
from growsearch.pareto.quantities import COUNT, ENERGY, TIME, quantity_of
from growsearch.pareto.uncertainty import is_small, told_apart, within_one_error

Ties = Literal["auto", "cheapest", "highest"]

# For people: what each takes.
TIES: dict[str, str] = {
    "auto": "cheapest with few validation examples, highest with many",
    "cheapest": "the cheapest within one standard error of the highest accuracy",
    "highest": "the highest accuracy, by however little",
}
_ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class TieBreak:
    """The networks within one standard error of the highest accuracy, and which of them is taken.

    ``best`` has the highest accuracy, on so many ``examples``, ``cheapest`` is what the
    one-standard-error rule takes of all the ``tied``; ``applied`` tells whether it was asked.
    ``least`` has the least cost, and ``limit`` is the largest that cannot be told from it.
    """

    best: Point
    cheapest: Point
    tied: tuple[Point, ...]
    examples: int
    least: Point
    limit: float
    applied: bool

    @property
    def taken(self) -> Point:
        """The choice."""
        return self.cheapest if self.applied else self.best


@dataclass(frozen=True, slots=True, kw_only=True)
class TieRule:
    """By what ties are broken: the first cost among the objectives, and so many examples.

    ``asked`` is what a person wants.
    """

    cost: str
    examples: int
    asked: Ties

    def of(self, ranked: Sequence[Point]) -> TieBreak:
        """Break the ties of points that are ranked by accuracy and then by the other objectives.

        The cheapest has the least cost; where measured costs cannot be told apart, the most
        accurate of those.
        """
        best = ranked[0]
        highest = best.values[_ACCURACY]
        tied = [p for p in ranked if self.is_tied(highest, p)]
        least = min(tied, key=lambda point: point.values[self.cost])
        like = [p for p in tied if not told_apart(p, least, self.cost)]
        limit = max(point.values[self.cost] for point in like)
        return TieBreak(
            best=best,
            cheapest=next(p for p in tied if p.values[self.cost] <= limit),
            tied=tuple(tied),
            examples=self.examples,
            least=least,
            limit=limit,
            applied=self.asked == "cheapest"
            or (self.asked == "auto" and is_small(highest, self.examples)),
        )

    def matters(self, ties: TieBreak, point: Point) -> bool:
        """Tell whether one more point could change what is taken, or what could be."""
        highest = ties.best.values[_ACCURACY]
        if point.values[_ACCURACY] > highest:
            return True
        return self.is_tied(highest, point) and (
            point.values[self.cost] <= ties.limit or not told_apart(point, ties.least, self.cost)
        )

    def is_tied(self, highest: float, point: Point) -> bool:
        """Tell whether a point is within one standard error of the highest accuracy."""
        return within_one_error(highest, point.values[_ACCURACY], self.examples)


def tie_rule(
    directions: Mapping[str, Direction], examples: int | None, prefer: str, ties: Ties
) -> TieRule | None:
    """Return how ties are broken; None where there is nothing to break.

    Args:
        directions: the objectives.
        examples: what accuracies were counted on; None where that is not known.
        prefer: by what a network is chosen.
        ties: as a person asks.

    Raises:
        UsageError: for "cheapest" where it cannot be had, or ties of another preference.
    """
    if ties not in TIES:
        raise UsageError(f"--ties: unknown {ties!r}; valid: {', '.join(TIES)}")
    if prefer != _ACCURACY:
        if ties != "auto":
            raise UsageError(f"--ties goes with --prefer accuracy, not with {prefer}")
        return None
    problem = ties_problem(directions)
    if problem is None and examples is None:
        problem = (
            "how many validation examples it was judged on is not known: the run is of an earlier "
            "version, or its labels are not one an example"
        )
    if problem is not None:
        if ties == "cheapest":
            raise UsageError(f"--ties cheapest: {problem}; take highest or auto")
        return None
    assert examples is not None
    return TieRule(cost=first_cost(directions) or "", examples=examples, asked=ties)


def ties_problem(directions: Mapping[str, Direction]) -> str | None:
    """Say why objectives have no ties that a cheapest network could break; None if they have.

    Example:
        >>> from growsearch.pareto.ties import ties_problem
        >>> ties_problem({"accuracy": "maximize"})
        'no objective is a cost (latency, energy, macs, parameters)'
        >>> ties_problem({"accuracy": "maximize", "macs": "minimize"}) is None
        True
    """
    first, direction = next(iter(directions.items()))
    if (first, direction) != (_ACCURACY, "maximize"):
        return f"the first objective is {first} and not accuracy: maximize"
    if first_cost(directions) is None:
        return "no objective is a cost (latency, energy, macs, parameters)"
    return None


def first_cost(directions: Mapping[str, Direction]) -> str | None:
    """Return the first objective that is a cost: a time, an energy or a count, to be small."""
    costs = (TIME, ENERGY, COUNT)
    found = (n for n, way in directions.items() if way == "minimize" and quantity_of(n) in costs)
    return next(found, None)
