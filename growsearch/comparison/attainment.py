"""Attainment surfaces: what does a group of runs reach in the best, middle and worst case?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from growsearch.comparison.comparison import Comparison, Group

# The share of runs that attain a surface: at least one, half of them, all of them.
LEVELS = (0.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """The points that a share of a group's runs attain: each dominates or equals them.

    ``share`` is in per cent, 0 standing for at least one run; ``points`` are (cost, quality) in the
    objectives' own units, from the least cost up.
    """

    group: str
    share: float
    points: tuple[tuple[float, float], ...]


def attainment_surfaces(comparison: Comparison, quality: str, cost: str) -> tuple[Surface, ...]:
    """Return the empirical attainment surfaces of every group over two objectives.

    They are those of Fonseca and Fleming (1996), exact, by moocore. A group of one run has one
    surface, its front.
    """
    return tuple(
        surface
        for group in comparison.groups
        for surface in _of_group(comparison, group, quality, cost)
    )


def _of_group(comparison: Comparison, group: Group, quality: str, cost: str) -> Sequence[Surface]:
    signs = [1.0 if comparison.directions[n] == "minimize" else -1.0 for n in (cost, quality)]
    rows, sets = [], []
    for place, run in enumerate(group.runs):
        for member in run.front.only([quality, cost]).members:
            rows.append([signs[0] * member.values[cost], signs[1] * member.values[quality]])
            sets.append(place)
    levels = LEVELS if len(group.runs) > 1 else LEVELS[:1]
    found = moocore.eaf(np.asarray(rows), np.asarray(sets), percentiles=list(levels))
    return [
        Surface(
            group=group.name,
            share=level,
            points=tuple(
                sorted(
                    (signs[0] * float(x), signs[1] * float(y))
                    for x, y, share in found
                    if share == level
                )
            ),
        )
        for level in levels
    ]
