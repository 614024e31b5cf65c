"""Comparison of searches: runs grouped by study, measured alike. Which found the better front?"""

from growsearch.comparison.attainment import Surface, attainment_surfaces
from growsearch.comparison.comparison import Comparison, Group, RunFigures, compare
from growsearch.comparison.files import comparison_lines, write_comparison
from growsearch.comparison.statistics import Interval, Test, bootstrap_mean, rank_test

__all__ = [
    "Comparison",
    "Group",
    "Interval",
    "RunFigures",
    "Surface",
    "Test",
    "attainment_surfaces",
    "bootstrap_mean",
    "compare",
    "comparison_lines",
    "rank_test",
    "write_comparison",
]
