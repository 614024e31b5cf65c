"""Global ranking: how many weights does each layer keep when all are ranked up to a limit?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def counts_within(
    scores: Mapping[str, Tensor], costs: Mapping[str, int], limit: int
) -> dict[str, int]:
    """Return how many of each layer's highest scores fit into ``limit`` together.

    Scores of all layers form one ranking, highest first; weights are taken from its top for as long
    as the sum of their layers' ``costs`` stays within ``limit``. Of equal scores those of earlier
    layers come first. With costs of 1 the counts sum to ``limit``, or to all scores if it is more.

    Args:
        scores: by layer; -inf is never taken, and no score is NaN.
        costs: of one weight of each layer, 0 or more.
        limit: 0 or more.
    """
    double = any(score.dtype == torch.float64 for score in scores.values())
    dtype = torch.float64 if double else torch.float32
    keys = {name: _ordered_integers(score, dtype) for name, score in scores.items()}
    # Scores of -inf have the key just below every number's.
    low = int(_ordered_integers(torch.tensor([-torch.inf]), dtype)) + 1
    high = max([low, *(int(key.max()) + 1 for key in keys.values() if key.numel())])
    nothing = low
    # The lowest bound whose weights, that key and all above, still fit.
    while low < high:
        middle = (low + high) // 2
        if _cost(_at_least(keys, middle), costs) <= limit:
            high = middle
        else:
            low = middle + 1
    counts = _at_least(keys, high)
    left = limit - _cost(counts, costs)
    if high > nothing:
        for name, key in keys.items():
            tied = int(torch.count_nonzero(key == high - 1))
            added = min(tied, left // costs[name]) if costs[name] else tied
            counts[name] += added
            left -= added * costs[name]
    return counts


def _ordered_integers(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """Return integers in the order of the floats: the bits, turned over where they are negative."""
    values = scores.detach().to(dtype).flatten()
    integer = torch.int64 if dtype == torch.float64 else torch.int32
    bits = values.view(integer)
    return torch.where(bits < 0, bits ^ torch.iinfo(integer).max, bits)


def _at_least(keys: Mapping[str, Tensor], bound: int) -> dict[str, int]:
    return {name: int(torch.count_nonzero(key >= bound)) for name, key in keys.items()}


def _cost(counts: Mapping[str, int], costs: Mapping[str, int]) -> int:
    return sum(count * costs[name] for name, count in counts.items())
