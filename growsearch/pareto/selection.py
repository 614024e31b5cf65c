"""Which network of a front fits a person's bounds best, and what does each bound cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from growsearch.errors import UsageError
from growsearch.pareto.front import Front, Point
from growsearch.pareto.likelihood import probability
from growsearch.pareto.preferences import Preference, ranking

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


def select(
    front: Front,
    constraints: Sequence[Bound] | Mapping[str, float] = (),
    prefer: Preference = "accuracy",
    *,
    weights: Mapping[str, float] | None = None,
    confidence: float | None = None,
) -> Selection:
    """Choose among the points of ``front``.

    Every compared point is eligible, since a bound may be on a value that is no objective; the
    choice is a front member wherever bounds are on objectives. A mapping is short for upper bounds
    on minimised objectives and lower bounds on maximised ones.

    Args:
        front: the points to choose from.
        constraints: the bounds; a point has to meet them all.
        prefer: by what it is chosen inside them, a name in `PREFERENCES`.
        weights: for "weights", a factor an objective; 1 where there is none.
        confidence: the least probability of meeting the bounds (`probability`); without it a point
            fits that meets them by the values that were found.

    Raises:
        UsageError: for an unknown objective or preference, useless weights, a confidence that is no
            probability, or an empty front.
    """
    if not front.points:
        raise UsageError("select: no finished trial to choose from; run the search first")
    if confidence is not None and not 0 < confidence < 1:
        raise UsageError(f"--confidence: {confidence} is not between 0 and 1; write 0.9 or 90%")
    bounds = _bounds(front, constraints)
    # The id comes last so that equal points do not depend on the order in which trials finished.
    rank = ranking(front, prefer, weights)
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
    if any(bound.excess(point) > 0 for bound in bounds):
        return False
    return confidence is None or probability(point, bounds) >= confidence


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


def _runner_up(front: Front, others: Sequence[Point]) -> Point | None:
    members = {member.id for member in front.members}
    return next((p for p in others if p.id in members), others[0] if others else None)


def _cost_of(
    front: Front,
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


def _nearest(front: Front, bounds: Sequence[Bound], confidence: float | None) -> Selection:
    def excess(point: Point) -> float:
        return max(bound.excess(point) for bound in bounds)

    nearest = min(front.points, key=lambda p: (excess(p), -probability(p, bounds), p.id))
    misses: dict[str, float] = {}
    for bound in bounds:
        worst = max(misses.get(bound.objective, 0.0), bound.excess(nearest))
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
