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

    ``spread`` is the standard deviation of those values that are not known exactly.

    Example:
        >>> from growsearch.pareto import Point
        >>> Point(id="a", values={"accuracy": 0.9, "macs": 1000.0}).values["macs"]
        1000.0
    """

    id: str
    values: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """``value`` is the most (sense "max") or the least ("min") that an objective may be.

    Example:
        >>> from growsearch.pareto import Bound, Point
        >>> bound = Bound(objective="macs", sense="max", value=800.0)
        >>> bound.excess(Point(id="a", values={"macs": 1000.0}))
        0.25
    """

    objective: str
    sense: Sense
    value: float

    def excess(self, point: Point) -> float:
        """Return by how much ``point`` misses the bound, relative to it; 0 if it is met."""
        actual = point.values[self.objective]
        gap = actual - self.value if self.sense == "max" else self.value - actual
        return max(0.0, gap / abs(self.value)) if self.value else max(0.0, gap)
