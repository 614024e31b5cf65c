"""Contract of a growth policy: who decides which channels and units live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.growth.config import GrowthConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthTask:
    """What a policy knows at the start; ``generator`` feeds all its random choices."""

    projection: BudgetProjection
    config: GrowthConfig
    steps_per_epoch: int
    generator: torch.Generator

    @property
    def structures(self) -> Structures:
        """The channels and units of the full configuration."""
        return self.projection.structures


class GrowthPolicy(Protocol):
    """Observes training and says which structures live; all tensors are flat (total,).

    Structures are channels and units. What the policy says of the channels inside a unit counts
    only while the unit lives.
    """

    def start(self) -> Tensor:
        """Return what runs in the first epoch, within the budget."""
        ...

    def gates(self) -> Tensor:
        """Return the present factor on every structure's output, in [0, 1]."""
        ...

    def scores(self) -> Tensor:
        """Return the rank by which structures are dropped (lowest) and filled in (highest)."""
        ...

    def temperatures(self) -> Tensor | None:
        """Return the temperature of every indicator, None if there are no such."""
        ...

    def probabilities(self) -> Tensor | None:
        """Return how likely every structure is drawn next, None if chance plays no part."""
        ...

    def learn(self, gate_gradients: Tensor) -> None:
        """Take in dL/dgate of one step's batch; those that are not live have exactly 0."""
        ...

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Give better chances to the channels of the mask ``unborn`` that are higher in ``order``.

        Chances are exchanged within each group: channels that never lived differ by chance only.
        """
        ...

    def draw(self, live: Tensor) -> Tensor:
        """Return what is wanted for the next epoch; the caller keeps it in budget."""
        ...

    def settle(self, live: Tensor) -> Tensor:
        """Return what is wanted for good; the caller spends the budget on it."""
        ...

    def advance(self, live: Tensor) -> None:
        """Note what will run in the next epoch."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return all that changes over a run, for a checkpoint; the generator is the caller's."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        ...
