"""Comparison of runs under one reference: fronts together, hypervolume, IGD+, a test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import moocore
import numpy as np
from numpy.typing import NDArray

from growsearch.comparison.statistics import Interval, Test, bootstrap_mean, rank_test
from growsearch.errors import UsageError
from growsearch.pareto import Direction, Front, Point
from growsearch.report import Run

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """One run under the common scale.

    ``hypervolume`` is the share of the common box that its front dominates, ``igd_plus`` the mean
    distance from the common front to it (Ishibuchi et al. 2015), in widths of that box; ``kept``
    counts its networks on the common front, ``trials`` the networks that were compared.
    """

    run: Run
    label: str
    front: Front
    costs: Array
    hypervolume: float
    igd_plus: float
    kept: int
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The runs of one study, such as several seeds."""

    name: str
    runs: tuple[RunFigures, ...]
    hypervolume: Interval
    igd_plus: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All runs under one box: from ``ideal``, the best compared value of each objective, to
    ``reference``, the worst. ``front`` is what remains when all are compared together; its members'
    ids are "label/trial". ``tests`` hold the groups' hypervolumes against each other.
    """

    directions: dict[str, Direction]
    groups: tuple[Group, ...]
    front: Front
    ideal: dict[str, float]
    reference: dict[str, float]
    tests: tuple[Test, ...]

    @property
    def runs(self) -> tuple[RunFigures, ...]:
        """Every run, group by group."""
        return tuple(run for group in self.groups for run in group.runs)


def compare(runs: Sequence[Run]) -> Comparison:
    """Compare two runs or more that have the same objectives, grouped by their study's name.

    Raises:
        UsageError: for fewer than two runs, one folder twice, other objectives or a run without a
            network inside its constraints.
    """
    _check(runs)
    labels = _labels(runs)
    directions = runs[0].objectives
    fronts = [run.front() for run in runs]
    for label, front in zip(labels, fronts, strict=True):
        if not front.points:
            raise UsageError(
                f"{label} has no finished network inside its constraints; leave it out"
            )
    points = [
        Point(id=f"{label}/{point.id}", values=point.values, spread=point.spread)
        for label, front in zip(labels, fronts, strict=True)
        for point in front.points
    ]
    common = Front.of(points, directions)
    ideal, reference = _ideal(common), common.nadir()
    best = _scaled(common.members, directions, ideal, reference)
    kept = {member.id for member in common.members}
    figures = [
        _figures(
            run, label, front, _scaled(front.members, directions, ideal, reference), best, kept
        )
        for run, label, front in zip(runs, labels, fronts, strict=True)
    ]
    groups = _groups(figures)
    return Comparison(
        directions=directions,
        groups=groups,
        front=common,
        ideal=ideal,
        reference=reference,
        tests=_tests(groups),
    )


def _check(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise UsageError("compare: give two run folders or more")
    folders = [run.folder.resolve() for run in runs]
    if len(set(folders)) < len(folders):
        raise UsageError("compare: a run folder stands twice; give each once")
    first = runs[0]
    for run in runs[1:]:
        if run.objectives != first.objectives:
            raise UsageError(
                f"compare: {run.folder} has the objectives {_told(run)}, {first.folder} has "
                f"{_told(first)}; only runs with the same ones compare"
            )


def _told(run: Run) -> str:
    return ", ".join(f"{name} ({how})" for name, how in run.objectives.items())


def _labels(runs: Sequence[Run]) -> list[str]:
    """Name each run by its folder, with as many of the folders above as tell them apart."""
    parts = [run.folder.resolve().parts for run in runs]
    deepest = max(map(len, parts))
    for depth in range(1, deepest + 1):
        labels = ["/".join(each[-depth:]) for each in parts]
        if len(set(labels)) == len(labels):
            return labels
    raise AssertionError("folders differ, so their whole paths do")


def _ideal(front: Front) -> dict[str, float]:
    return {
        name: (min if direction == "minimize" else max)(p.values[name] for p in front.points)
        for name, direction in front.directions.items()
    }


def _scaled(
    points: Sequence[Point],
    directions: dict[str, Direction],
    ideal: dict[str, float],
    reference: dict[str, float],
) -> Array:
    """Return (points, objectives): 0 is the best of all runs, 1 the worst; smaller is better."""
    columns = []
    for name in directions:
        width = abs(reference[name] - ideal[name]) or 1.0
        columns.append([abs(point.values[name] - ideal[name]) / width for point in points])
    return np.asarray(columns, dtype=np.float64).T


def _figures(
    run: Run, label: str, front: Front, costs: Array, best: Array, kept: set[str]
) -> RunFigures:
    corner = np.ones(costs.shape[1])
    return RunFigures(
        run=run,
        label=label,
        front=front,
        costs=costs,
        hypervolume=float(moocore.hypervolume(costs, ref=corner)),
        igd_plus=float(moocore.igd_plus(costs, ref=best)),
        kept=sum(f"{label}/{member.id}" in kept for member in front.members),
        trials=len(front.points),
    )


def _groups(figures: Sequence[RunFigures]) -> tuple[Group, ...]:
    found = []
    for name in dict.fromkeys(each.run.name for each in figures):
        members = tuple(each for each in figures if each.run.name == name)
        found.append(
            Group(
                name=name,
                runs=members,
                hypervolume=bootstrap_mean([each.hypervolume for each in members]),
                igd_plus=bootstrap_mean([each.igd_plus for each in members]),
            )
        )
    return tuple(found)


def _tests(groups: Sequence[Group]) -> tuple[Test, ...]:
    pairs = (
        rank_test(
            (one.name, [run.hypervolume for run in one.runs]),
            (other.name, [run.hypervolume for run in other.runs]),
        )
        for one, other in combinations(groups, 2)
    )
    return tuple(test for test in pairs if test is not None and math.isfinite(test.p_value))
