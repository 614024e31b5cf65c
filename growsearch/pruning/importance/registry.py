"""Registry of importances: one line each."""

from __future__ import annotations

from collections.abc import Callable

from growsearch.pruning.importance.batchnorm import batchnorm
from growsearch.pruning.importance.fisher import fisher
from growsearch.pruning.importance.gates import GateImportance
from growsearch.pruning.importance.group_l2 import group_l2
from growsearch.pruning.importance.importance import Importance, Looked, Measure, PruneTask
from growsearch.pruning.importance.random_order import RandomImportance
from growsearch.pruning.importance.taylor import taylor


def _looking(measure: Measure) -> Callable[[PruneTask], Importance]:
    return lambda _: Looked(measure)


IMPORTANCES: dict[str, Callable[[PruneTask], Importance]] = {
    "taylor": _looking(taylor),
    "fisher": _looking(fisher),
    "group-l2": _looking(group_l2),
    "batchnorm": _looking(batchnorm),
    "random": RandomImportance,
    "gates": GateImportance,
}
# Those that learn while the network trains, through gates in it.
GATED = ("gates",)
