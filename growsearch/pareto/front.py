"""Which networks are worth having? The non-dominated points under given directions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import moocore
import numpy as np

from growsearch.errors import UsageError

if TYPE_CHECKING:
    import pandas

    from growsearch.pareto.preferences import Preference
    from growsearch.pareto.selection import Bound, Selection

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One finished network: its id and its value under every objective.

    ``spread`` is the standard deviation of those values that are not known exactly.
    """

    id: str
    values: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Immutable: all ``points`` that were compared, and which of them nothing dominates.

    A point dominates another if it is no worse in every objective and better in one. Points that
    are equal in every objective stay together. Build one with `Front.of`.
    """

    directions: Mapping[str, Direction]
    points: tuple[Point, ...]
    members: tuple[Point, ...]

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
        for point in named:
            _check_values(point, directions)
        costs = _costs(named, directions)
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

    def nadir(self) -> dict[str, float]:
        """Return the worst finite value of each objective over all compared points."""
        return {
            name: (max if direction == "minimize" else min)(p.values[name] for p in self.points)
            for name, direction in self.directions.items()
        }

    def only(self, objectives: Sequence[str]) -> Front:
        """Return the front of the same points under fewer objectives."""
        unknown = [name for name in objectives if name not in self.directions]
        if unknown:
            raise UsageError(
                f"objective {unknown[0]!r} is not in this front; "
                f"it has: {', '.join(self.directions)}"
            )
        return Front.of(self.points, {name: self.directions[name] for name in objectives})

    def select(
        self,
        constraints: Sequence[Bound] | Mapping[str, float] = (),
        prefer: Preference = "accuracy",
        *,
        weights: Mapping[str, float] | None = None,
        confidence: float | None = None,
    ) -> Selection:
        """Choose one member inside ``constraints``; see `growsearch.pareto.selection`."""
        from growsearch.pareto.selection import select

        return select(self, constraints, prefer, weights=weights, confidence=confidence)

    def to_pandas(self, *, all_points: bool = False) -> pandas.DataFrame:
        """Return a table of the front: a network a row, by id, and a metric a column.

        With ``all_points`` every compared network is there, and a column "on_front".

        Raises:
            UsageError: if pandas is not installed.
        """
        from growsearch.pareto.front_table import to_pandas

        return to_pandas(self, all_points=all_points)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from growsearch.pareto.front_table import to_html

        return to_html(self)

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


def _check_values(point: Point, directions: Mapping[str, Direction]) -> None:
    for name in directions:
        value = point.values.get(name)
        if value is None or not math.isfinite(value):
            raise UsageError(f"point {point.id}: {name} = {value} is not a finite number")


def _costs(
    points: Sequence[Point], directions: Mapping[str, Direction]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = [[_sign(d) * p.values[n] for n, d in directions.items()] for p in points]
    return np.array(rows, dtype=np.float64).reshape(len(points), len(directions))


def _nondominated(costs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[bool]:
    if len(costs) == 0:
        return []
    if costs.shape[1] == 1:
        return [bool(cost == costs.min()) for cost in costs[:, 0]]
    return [bool(kept) for kept in moocore.is_nondominated(costs, keep_weakly=True)]
