"""Random order, a baseline: channels appear in an order that is drawn, and stay."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from growsearch.growth.policies.birth import reorder
from growsearch.growth.policies.policy import GrowthTask
from growsearch.growth.policies.ungated import OpenGates


class RandomOrder(OpenGates):
    """Grows by the same plan as `PlannedGrowth`, in one random order; never prunes.

    Against this baseline, a learned policy shows what its choice of channels adds to growing as
    such. Gates are open.
    """

    def __init__(self, task: GrowthTask) -> None:
        super().__init__(scores=torch.rand(task.structures.total, generator=task.generator))
        self._task = task
        self._epochs = 0

    def start(self) -> Tensor:
        """Return the least network, and of the order what the seed's share pays for."""
        share, seed = self._task.config.seed_share, self._task.structures.seed()
        return seed if share == 0 else self._task.projection.fill(seed, self._scores, share=share)

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Exchange the places of unborn channels within each group."""
        self._scores = reorder(self._scores, order, unborn, self._task.structures)

    def draw(self, live: Tensor) -> Tensor:
        """Return the live channels and the next ones that this epoch's share pays for."""
        share = self._task.config.plan(self._epochs + 1)
        return self._task.projection.fill(live, self._scores, share=share)

    def advance(self, live: Tensor) -> None:  # noqa: ARG002
        """Count the epochs."""
        self._epochs += 1

    def state(self) -> dict[str, Tensor]:
        """Return the order and the count."""
        return {"scores": self._scores, "epochs": torch.tensor(self._epochs)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._scores, self._epochs = state["scores"], int(state["epochs"])
