"""Redistribution of connections: weak ones are swapped for promising ones, their number stays."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from growsearch.sparsity.patterns import Pattern, highest


def cosine_fraction(progress: float, alpha: float, until: float) -> float:
    """Return f = alpha / 2 (1 + cos(pi t / T_end)) (arXiv 1911.11134, section 3).

    ``progress`` and ``until`` are t and T_end as shares of training; f is 0 from T_end on.
    """
    if progress >= until:
        return 0.0
    return alpha / 2 * (1 + math.cos(math.pi * progress / until))


def redistribute(
    mask: Tensor, drop_score: Tensor, grow_score: Tensor, fraction: float, pattern: Pattern
) -> Tensor:
    """Drop the weakest int(fraction x active) units and grow as many; return the new mask.

    Only active units are dropped, lowest ``drop_score`` first; the highest ``grow_score`` outside
    the survivors are grown, so a unit that was just dropped may come back, as in RigL. The number
    of active units stays. All tensors have the weight's shape.

    Raises:
        UsageError: if the mask's shape does not fit the pattern.
    """
    active = pattern.pool(mask.to(torch.float64)) > 0
    count = int(torch.count_nonzero(active))
    dropped = int(fraction * count)
    drop = pattern.pool(drop_score.to(torch.float64)).masked_fill(~active, -math.inf)
    survivors = highest(drop, count - dropped)
    grow = pattern.pool(grow_score.to(torch.float64))
    # A survivor outweighs all candidates that a pattern may weigh against it. No more than that:
    # differences between candidates would drown in rounding.
    lifted = torch.where(survivors, pattern.together + 1.0, _unit_range(grow))
    return pattern.expand(pattern.choose(lifted, count), mask.shape)


def _unit_range(scores: Tensor) -> Tensor:
    low, high = torch.aminmax(scores)
    span = high - low
    return (scores - low) / span if span > 0 else torch.zeros_like(scores)
