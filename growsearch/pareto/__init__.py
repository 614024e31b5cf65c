"""Pareto fronts: which networks are worth having, and which one to take? Hypervolume, selection."""

from growsearch.pareto.bound_costs import BoundCost
from growsearch.pareto.bounds import (
    bounds_by_objective,
    bounds_from_mapping,
    format_bound,
    parse_bound,
    parse_weight,
)
from growsearch.pareto.feasibility import probability
from growsearch.pareto.front import Front, select
from growsearch.pareto.measures import MEASURES, Measure
from growsearch.pareto.point import Bound, Direction, Point
from growsearch.pareto.preferences import PREFERENCES, Preference
from growsearch.pareto.quantities import format_quantity, is_share, parse_quantity, parse_share
from growsearch.pareto.selection import Selection
from growsearch.pareto.ties import TIES, TieBreak, Ties
from growsearch.pareto.wishes import Wishes

__all__ = [
    "MEASURES",
    "PREFERENCES",
    "TIES",
    "Bound",
    "BoundCost",
    "Direction",
    "Front",
    "Measure",
    "Point",
    "Preference",
    "Selection",
    "TieBreak",
    "Ties",
    "Wishes",
    "bounds_by_objective",
    "bounds_from_mapping",
    "format_bound",
    "format_quantity",
    "is_share",
    "parse_bound",
    "parse_quantity",
    "parse_share",
    "parse_weight",
    "probability",
    "select",
]
