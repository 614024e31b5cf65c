"""Registry of allocations: one line each."""

from __future__ import annotations

from growsearch.pruning.allocation.allocation import Allocation
from growsearch.pruning.allocation.knapsack import knapsack
from growsearch.pruning.allocation.uniform import uniform

ALLOCATIONS: dict[str, Allocation] = {"knapsack": knapsack, "uniform": uniform}
