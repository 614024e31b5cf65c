"""Contract of a pattern of active weights, and no pattern at all. See n_of_m.py and blocks.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Pattern(Protocol):
    """Which sets of *units* may be active together; a unit is a weight or a block of weights."""

    @property
    def together(self) -> int:
        """How many units are chosen for the sum of their scores; 1 where each is its own choice."""
        ...

    def pool(self, scores: Tensor) -> Tensor:
        """Sum per-weight scores in the weight's shape to one score a unit."""
        ...

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """Return the legal set of ``count`` units (bool, the shape of ``scores``) of highest score.

        Raises:
            UsageError: if the pattern has no legal set of that size.
        """
        ...

    def expand(self, units: Tensor, shape: torch.Size) -> Tensor:
        """Return the weight mask of ``shape`` that a set of units stands for."""
        ...


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Every weight for itself.

    Example:
        >>> from growsearch.sparsity import Unstructured, make_updater
        >>> make_updater("set", pattern=Unstructured()).pattern
        Unstructured()
    """

    @property
    def together(self) -> int:
        """Each weight is its own choice."""
        return 1

    def pool(self, scores: Tensor) -> Tensor:
        """Return the scores as they are."""
        return scores

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """Return the ``count`` highest scores; ties go to the earlier weight."""
        return highest(scores, count)

    def expand(self, units: Tensor, shape: torch.Size) -> Tensor:
        """Return the units, which are the weights."""
        return units.view(shape)


def highest(scores: Tensor, count: int) -> Tensor:
    """Return a bool tensor that is True at exactly the ``count`` highest scores.

    Ties go to the earlier entry, so that the same scores give the same mask everywhere.
    """
    flat = scores.detach().flatten()
    if count <= 0 or count >= flat.numel():
        return torch.full(scores.shape, count > 0, dtype=torch.bool, device=scores.device)
    # kthvalue counts from the lowest; it is linear, where sorting is not.
    bound = flat.kthvalue(flat.numel() - count + 1).values
    chosen = flat > bound
    # Neither above nor below: equal, or not a number.
    tied = torch.nonzero(~(chosen | (flat < bound))).flatten()
    chosen[tied[: count - int(torch.count_nonzero(chosen))]] = True
    return chosen.view(scores.shape)
