"""Pruning of a trained network to a budget of parameters, MACs or latency. See `prune`."""

from growsearch.pruning.allocation.registry import ALLOCATIONS
from growsearch.pruning.config import FINE_TUNING, Distillation, PruneConfig
from growsearch.pruning.importance.registry import GATED, IMPORTANCES
from growsearch.pruning.prunable_groups import prunable_groups
from growsearch.pruning.prune import prune, prune_costs
from growsearch.pruning.result import PruneResult

__all__ = [
    "ALLOCATIONS",
    "FINE_TUNING",
    "GATED",
    "IMPORTANCES",
    "Distillation",
    "PruneConfig",
    "PruneResult",
    "prunable_groups",
    "prune",
    "prune_costs",
]
