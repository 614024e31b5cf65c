"""Who decides which channels live? The contract of every policy, and the policies by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from growsearch.growth.allowance import Allowance
from growsearch.growth.config import GrowthConfig
from growsearch.growth.structures import Structures


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthTask:
    """What a policy knows at the start; ``generator`` feeds all its random choices."""

    allowance: Allowance
    config: GrowthConfig
    steps_per_epoch: int
    generator: torch.Generator

    @property
    def structures(self) -> Structures:
        """The channels of the full configuration."""
        return self.allowance.structures


class GrowthPolicy(Protocol):
    """Observes training and says which channels live; all tensors are flat (total,)."""

    def gates(self) -> Tensor:
        """Return the present factor on every channel's output, in [0, 1]."""
        ...

    def scores(self) -> Tensor:
        """Return the rank by which channels are dropped (lowest) and filled in (highest)."""
        ...

    def learn(self, gate_gradients: Tensor) -> None:
        """Take in dL/dgate of one step's batch; channels that are not live have exactly 0."""
        ...

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Give better chances to the channels of the mask ``unborn`` that are higher in ``order``.

        Chances are exchanged within each group: channels that never lived differ by chance only.
        """
        ...

    def draw(self, live: Tensor) -> Tensor:
        """Return the channels wanted for the next epoch; the caller keeps them in budget."""
        ...

    def settle(self, live: Tensor) -> Tensor:
        """Return the channels wanted for good; the caller spends the budget on them."""
        ...

    def advance(self, live: Tensor) -> None:
        """Note which channels will run in the next epoch."""
        ...
