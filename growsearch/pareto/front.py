"""Pareto front: the non-dominated networks among all that were compared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np

from growsearch.errors import UsageError
from growsearch.pareto.front_table import to_html, to_pandas
from growsearch.pareto.point import Bound, Direction, Point
from growsearch.pareto.preferences import Preference
from growsearch.pareto.selection import Selection, choose
from growsearch.pareto.ties import Ties
from growsearch.pareto.wishes import NO_WISHES, Wishes, bounds_of

if TYPE_CHECKING:
    import pandas

_Costs = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Immutable: all ``points`` that were compared, and which of them nothing dominates.

    A point dominates another if it is no worse in every objective and better in one. Points that
    are equal in every objective stay together. Build one with `Front.of`. ``wishes`` are what its
    study asks of a choice, ``examples`` the number that each accuracy was counted on, where that is
    known.

    Example:
        >>> from growsearch.pareto import Front
        >>> front = Front.of(
        ...     [
        ...         {"accuracy": 0.9, "macs": 1000.0},
        ...         {"accuracy": 0.8, "macs": 500.0},
        ...         {"accuracy": 0.7, "macs": 900.0},
        ...     ],
        ...     {"accuracy": "maximize", "macs": "minimize"},
        ... )
        >>> [point.id for point in front.members]
        ['0', '1']
        >>> round(front.hypervolume({"accuracy": 0.0, "macs": 1000.0}), 3)
        400.0
        >>> front.select({"macs": 600.0}).chosen.id
        '1'
    """

    directions: Mapping[str, Direction]
    points: tuple[Point, ...]
    members: tuple[Point, ...]
    wishes: Wishes = NO_WISHES
    examples: int | None = None

    @classmethod
    def of(
        cls,
        points: Iterable[Point | Mapping[str, float]],
        directions: Mapping[str, Direction],
    ) -> Front:
        """Compare ``points`` under ``directions``.

        Plain mappings are numbered "0", "1", ... in order. Members are sorted by the first
        objective, best first, then by id.

        Raises:
            UsageError: for an unknown direction, a missing objective or a value not finite.
        """
        _check_directions(directions)
        named = tuple(
            point if isinstance(point, Point) else Point(id=str(index), values=dict(point))
            for index, point in enumerate(points)
        )
        costs = _finite_costs(named, directions)
        keep = _nondominated(costs)
        members = [point for point, kept in zip(named, keep, strict=True) if kept]
        first, direction = next(iter(directions.items()))
        sign = -1.0 if direction == "maximize" else 1.0
        members.sort(key=lambda point: (sign * point.values[first], point.id))
        return cls(directions=dict(directions), points=named, members=tuple(members))

    def __len__(self) -> int:
        return len(self.members)

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> float:
        """Return the volume dominated by the front up to ``reference``, in the objectives' units.

        ``reference`` gives a value an objective; a point not better than it everywhere adds
        nothing. Default: `nadir` of all compared points.

        Raises:
            UsageError: if the reference lacks an objective or a value of it is not finite.
        """
        if not self.members:
            return 0.0
        reference = reference if reference is not None else self.nadir()
        missing = [name for name in self.directions if name not in reference]
        if missing:
            raise UsageError(f"reference: objective {missing[0]!r} is missing")
        for name in self.directions:
            if not math.isfinite(reference[name]):
                raise UsageError(f"reference: {name} = {reference[name]} is not finite")
        corner = np.array([_sign(self.directions[n]) * reference[n] for n in self.directions])
        return float(moocore.hypervolume(_costs(self.members, self.directions), ref=corner))

    def hypervolume_share(
        self,
        reference: Mapping[str, float] | None = None,
        ideal: Mapping[str, float] | None = None,
    ) -> float | None:
        """Return the hypervolume as a share of the box from ``reference`` to ``ideal``, in [0, 1].

        By default the corners are `nadir` and `ideal`. None where an objective is the same
        everywhere or no better than the reference: the box has no volume then.

        Raises:
            UsageError: as `hypervolume` does.

        Example:
            >>> from growsearch.pareto import Front
            >>> front = Front.of(
            ...     [{"a": 0.0, "b": 2.0}, {"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 0.0}],
            ...     {"a": "minimize", "b": "minimize"},
            ... )
            >>> front.hypervolume_share()
            0.25
        """
        volume = self.hypervolume(reference)
        if not self.members:
            return None
        corner = reference if reference is not None else self.nadir()
        ideal = ideal if ideal is not None else self.ideal()
        sides = [
            max(0.0, _sign(way) * (corner[name] - ideal[name]))
            for name, way in self.directions.items()
        ]
        box = math.prod(sides)
        return None if box <= 0 else volume / box

    def ideal(self) -> dict[str, float]:
        """Return the best value of each objective over all compared points."""
        return {
            name: (min if direction == "minimize" else max)(p.values[name] for p in self.points)
            for name, direction in self.directions.items()
        }

    def nadir(self) -> dict[str, float]:
        """Return the worst finite value of each objective over all compared points."""
        return {
            name: (max if direction == "minimize" else min)(p.values[name] for p in self.points)
            for name, direction in self.directions.items()
        }

    def only(self, objectives: Sequence[str]) -> Front:
        """Return the front of the same points under fewer objectives; wishes are left behind."""
        unknown = [name for name in objectives if name not in self.directions]
        if unknown:
            raise UsageError(
                f"objective {unknown[0]!r} is not in this front; "
                f"it has: {', '.join(self.directions)}"
            )
        front = Front.of(self.points, {name: self.directions[name] for name in objectives})
        return dataclasses.replace(front, examples=self.examples)

    def select(
        self,
        constraints: Sequence[Bound] | Mapping[str, float] | None = None,
        prefer: Preference | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        confidence: float | None = None,
        ties: Ties | None = None,
    ) -> Selection:
        """Choose one member inside ``constraints``; see `growsearch.pareto.select`.

        Without any argument it is the choice that the study asked for, ``wishes``; with one, what
        is left out is as usual: no bounds, ``prefer`` "accuracy", ``ties`` "auto".
        """
        given = (constraints, prefer, weights, confidence, ties)
        if all(each is None for each in given):
            return self.choose(self.wishes)
        wishes = Wishes(
            bounds=bounds_of(constraints or (), self.directions),
            prefer=prefer or "accuracy",
            weights=weights or {},
            confidence=confidence,
            ties=ties or "auto",
        )
        return self.choose(wishes)

    def choose(self, wishes: Wishes) -> Selection:
        """Choose one member as ``wishes`` say; see `growsearch.pareto.select`."""
        return choose(self, wishes)

    def to_pandas(self, *, all_points: bool = False) -> pandas.DataFrame:
        """Return a table of the front: a network a row, by id, and a metric a column.

        With ``all_points`` every compared network is there, and a column "on_front".

        Raises:
            UsageError: if pandas is not installed.
        """
        shown = self.points if all_points else self.members
        return to_pandas(
            shown, self.directions, {p.id for p in self.members} if all_points else None
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.members, self.directions, compared=len(self.points))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: directions and members, no dates, so that reruns are equal."""
        return {
            "directions": dict(self.directions),
            "members": [{"id": p.id, "values": dict(p.values)} for p in self.members],
        }


def _sign(direction: Direction) -> float:
    return -1.0 if direction == "maximize" else 1.0


def _check_directions(directions: Mapping[str, Direction]) -> None:
    if not directions:
        raise UsageError("objectives: at least one is needed")
    for name, direction in directions.items():
        if direction not in ("minimize", "maximize"):
            raise UsageError(f"objectives: {name} = {direction!r}; use minimize or maximize")


def _finite_costs(points: Sequence[Point], directions: Mapping[str, Direction]) -> _Costs:
    """Return `_costs` of points that have a finite value of every objective.

    Raises:
        UsageError: naming the first that has not.
    """
    try:
        costs = _costs(points, directions)
    except (KeyError, TypeError):
        costs = None
    if costs is None or not np.isfinite(costs).all():
        for point in points:
            _check_values(point, directions)
    assert costs is not None
    return costs


def _check_values(point: Point, directions: Mapping[str, Direction]) -> None:
    for name in directions:
        value = point.values.get(name)
        if value is None or not math.isfinite(value):
            raise UsageError(f"point {point.id}: {name} = {value} is not a finite number")


def _costs(points: Sequence[Point], directions: Mapping[str, Direction]) -> _Costs:
    """Return an array (points, objectives) of values to minimise."""
    values = itemgetter(*directions)
    found = np.array([values(point.values) for point in points], dtype=np.float64)
    return found.reshape(len(points), len(directions)) * list(map(_sign, directions.values()))


def _nondominated(costs: _Costs) -> list[bool]:
    if len(costs) == 0:
        return []
    if costs.shape[1] == 1:
        return [bool(cost == costs.min()) for cost in costs[:, 0]]
    return [bool(kept) for kept in moocore.is_nondominated(costs, keep_weakly=True)]


def select(
    front: Front,
    constraints: Sequence[Bound] | Mapping[str, float] = (),
    prefer: Preference = "accuracy",
    *,
    weights: Mapping[str, float] | None = None,
    confidence: float | None = None,
    ties: Ties = "auto",
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
        ties: of "accuracy", what is taken of networks within one standard error of the highest, a
            name in `TIES`: "cheapest", "highest", or "auto" by the number of examples.

    Raises:
        UsageError: for an unknown objective or preference, useless weights, a confidence that is no
            probability, ties that cannot be broken, or an empty front.

    Example:
        >>> from growsearch.pareto import Front, parse_bound, select
        >>> front = Front.of(
        ...     [{"accuracy": 0.9, "macs": 1000.0}, {"accuracy": 0.8, "macs": 500.0}],
        ...     {"accuracy": "maximize", "macs": "minimize"},
        ... )
        >>> found = select(front, [parse_bound("macs=600", "max")])
        >>> found.chosen.id, round(found.costs[0].gain, 3)
        ('1', 0.1)
    """
    return front.select(constraints, prefer, weights=weights, confidence=confidence, ties=ties)
