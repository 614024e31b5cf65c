"""Ranks of a low-rank network that does the MACs of the dense one."""

from __future__ import annotations

from torch import nn

from growsearch.errors import UsageError
from growsearch.sparsity.whole_weights import Countable, tune_counts
from growsearch.transforms.factorized import FactorizedLayer
from growsearch.transforms.mac_profile import MacProfile

# Halvings of the scale of all ranks: far below one rank of any layer.
_HALVINGS = 40


def matching_ranks(module: nn.Module, profile: MacProfile, target_macs: int) -> dict[str, int]:
    """Return the rank of every factorised layer of ``module``, by path, for ``target_macs`` MACs.

    All ranks are scaled together, and then single ranks of some layers make up what rounding has
    left, so that layers of different sizes mix to the nearest number of MACs.

    Args:
        module: factorised by `low_rank`; it is not changed.
        profile: of ``module``.
        target_macs: of one example.

    Raises:
        UsageError: if a rank of one everywhere does more.
    """
    layers = {
        path: layer for path, layer in module.named_modules() if isinstance(layer, FactorizedLayer)
    }
    ranks = {path: layer.down.weight.shape[0] for path, layer in layers.items()}
    costs = {path: _macs_of_one_rank(path, layer, profile) for path, layer in layers.items()}
    fixed = profile.dense_macs - _macs(ranks, costs)
    left = target_macs - fixed
    if left < sum(costs.values()):
        raise UsageError(
            f"sparsity: with rank one everywhere the wider network does {fixed:,} MACs and more, "
            f"the dense one {target_macs:,}; choose a lower sparsity"
        )
    scaled = _scaled(ranks, costs, left)
    items = {
        path: Countable(count=rank, least=1, most=2 * rank + 1, cost=costs[path])
        for path, rank in scaled.items()
    }
    return tune_counts(items, left - _macs(scaled, costs))


def _macs_of_one_rank(path: str, layer: FactorizedLayer, profile: MacProfile) -> int:
    prefix = f"{path}." if path else ""
    down = profile.per_weight[f"{prefix}down.weight"] * layer.down.weight[0].numel()
    up = profile.per_weight[f"{prefix}up.weight"] * layer.up.weight.shape[0]
    return down + up


def _scaled(ranks: dict[str, int], costs: dict[str, int], left: int) -> dict[str, int]:
    """Return the ranks times the largest common factor at which they do no more than ``left``."""
    low, high = 0.0, max(2.0, 2.0 * left / _macs(ranks, costs))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _macs(_times(ranks, middle), costs) > left:
            high = middle
        else:
            low = middle
    return _times(ranks, low)


def _times(ranks: dict[str, int], scale: float) -> dict[str, int]:
    return {path: max(1, round(rank * scale)) for path, rank in ranks.items()}


def _macs(ranks: dict[str, int], costs: dict[str, int]) -> int:
    return sum(rank * costs[path] for path, rank in ranks.items())
