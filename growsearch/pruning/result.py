"""Result of pruning a network: what is left of it, and how that came about."""

from __future__ import annotations

from dataclasses import dataclass

from growsearch.growth.result import GrowthResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult(GrowthResult):
    """A pruned network; what has a `GrowthResult` is the same here.

    ``kept_share`` is the share of the full network's cost, in the budget's metric, that no choice
    of structures could have saved: what keeps its width.
    """

    kept_share: float
