"""Points and bounds: a network's values under the objectives, and limits on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["minimize", "maximize"]
Sense = Literal["max", "min"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One finished network: its id and its value under every objective.

    ``spread`` is the standard deviation of those values that are not known exactly, ``noise`` that
    of another measurement from this one, of values that were measured.

    Example:
        >>> from growsearch.pareto import Point
        >>> Point(id="a", values={"accuracy": 0.9, "macs": 1000.0}).values["macs"]
        1000.0
    """

    id: str
    values: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """``value`` is the most (sense "max") or the least ("min") that an objective may be.

    Example:
        >>> from growsearch.pareto import Bound, Point
        >>> bound = Bound(objective="macs", sense="max", value=800.0)
        >>> bound.missed_by(Point(id="a", values={"macs": 1000.0}))
        0.25
    """

    objective: str
    sense: Sense
    value: float

    def excess(self, actual: float) -> float:
        """Return how far a value is from meeting the bound, in its unit: at most 0 if it does."""
        return actual - self.value if self.sense == "max" else self.value - actual

    def relative_excess(self, actual: float) -> float:
        """Return by how much a value misses the bound, relative to it; 0 if it is met."""
        gap = max(0.0, self.excess(actual))
        return gap / abs(self.value) if self.value else gap

    def missed_by(self, point: Point) -> float:
        """Return the relative excess of a point's own value."""
        return self.relative_excess(point.values[self.objective])
