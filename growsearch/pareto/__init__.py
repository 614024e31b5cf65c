"""Which networks are worth having, and which one to take? Fronts, hypervolume, selection."""

from growsearch.pareto.front import Direction, Front, Point
from growsearch.pareto.selection import Bound, BoundCost, Preference, Selection, select

__all__ = ["Bound", "BoundCost", "Direction", "Front", "Point", "Preference", "Selection", "select"]
