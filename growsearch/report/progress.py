"""Progress of a search: the hypervolume of its front after each finished trial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from growsearch.pareto import Front, Point
from growsearch.report.run_data import Run, once_a_run

_MAX_STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervolumeCurve:
    """Hypervolume by number of compared trials, as a share of the box that it lies in.

    The box spans ``reference``, the worst compared value of every objective, and ``ideal``, the
    best. Both come from this run, so that shares of two runs do not compare. ``steps`` is empty
    where an objective has the same value everywhere, since the box then has no volume.
    """

    steps: tuple[tuple[int, float], ...]
    reference: Mapping[str, float]
    ideal: Mapping[str, float]


@once_a_run
def hypervolume_progress(run: Run) -> HypervolumeCurve:
    """Return the progress of ``run`` in at most 200 steps, in the order trials finished."""
    final = run.front()
    if not final.points:
        return HypervolumeCurve(steps=(), reference={}, ideal={})
    reference = final.nadir()
    ideal = final.ideal()
    steps = tuple(_steps(final, reference, ideal))
    return HypervolumeCurve(steps=steps, reference=reference, ideal=ideal)


def _steps(
    final: Front, reference: Mapping[str, float], ideal: Mapping[str, float]
) -> Iterator[tuple[int, float]]:
    count = len(final.points)
    stride = math.ceil(count / _MAX_STEPS)
    members: tuple[Point, ...] = ()
    for start in range(0, count, stride):
        batch = final.points[start : start + stride]
        # The front so far and the newcomers suffice: what was dominated once stays so.
        front = Front.of([*members, *batch], final.directions)
        members = front.members
        share = front.hypervolume_share(reference, ideal)
        if share is None:
            return
        yield start + len(batch), share
