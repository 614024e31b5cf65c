"""Open gates and a rank: what policies that learn nothing have in common."""

from __future__ import annotations

import torch
from torch import Tensor


class OpenGates:
    """The part of `GrowthPolicy` that is the same wherever nothing is learned.

    ``scores`` (total,) rank the structures.
    """

    def __init__(self, scores: Tensor) -> None:
        self._scores = scores

    def gates(self) -> Tensor:
        """Return ones."""
        return torch.ones_like(self._scores)

    def scores(self) -> Tensor:
        """Return the rank of every structure."""
        return self._scores

    def temperatures(self) -> None:
        """Return nothing: there is no temperature."""

    def probabilities(self) -> Tensor | None:
        """Return nothing: the rank decides."""
        return None

    def learn(self, gate_gradients: Tensor) -> None:
        """Learn nothing."""

    def settle(self, live: Tensor) -> Tensor:
        """Return what lives; what is left of the budget goes by rank."""
        return live
