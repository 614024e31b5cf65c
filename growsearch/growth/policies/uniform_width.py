"""Uniform width, a baseline: one share of every group, from the start.

Uniform channel pruning, the baseline of arXiv 2007.15353, figure 6, as widths that are fixed before
training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.policies.policy import GrowthTask
from growsearch.growth.policies.ungated import OpenGates


class UniformWidth(OpenGates):
    """Runs the widest network whose groups keep one share of their channels; nothing ever changes.

    What whole channels leave of the budget goes to the groups that are furthest behind a larger
    share, so that other policies are compared at equal cost. All units run as far as the budget
    allows it. Gates are open.
    """

    def __init__(self, task: GrowthTask) -> None:
        structures, projection = task.structures, task.projection
        super().__init__(scores=-channel_shares(structures.sizes))
        widest = structures.first(widest_uniform(structures.sizes, projection))
        self._live = projection.spend(widest, self._scores)

    def start(self) -> Tensor:
        """Return the uniform network."""
        return self._live

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Prefer nothing: no channel will be born."""

    def draw(self, live: Tensor) -> Tensor:
        """Return what lives."""
        return live

    def advance(self, live: Tensor) -> None:
        """Remember nothing."""

    def state(self) -> dict[str, Tensor]:
        """Return nothing: all follows from the budget."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing back."""


def channel_shares(sizes: Sequence[int]) -> Tensor:
    """Return the share of its group (total,) at which each channel comes in."""
    return torch.cat([(1 + torch.arange(size)) / size for size in sizes])


def widest_uniform(sizes: Sequence[int], projection: BudgetProjection) -> list[int]:
    """Return the largest sizes max(1, floor(w n)), w being one share of all, within the limit."""
    # The widths change only where w n is a whole number for some group.
    shares = sorted({k / size for size in sizes for k in range(1, size + 1)})
    widths = [1] * len(sizes)
    for share in shares:
        wider = [max(1, int(share * size + 1e-9)) for size in sizes]
        if projection.terms.exact(wider) > projection.limit:
            break
        widths = wider
    return widths
