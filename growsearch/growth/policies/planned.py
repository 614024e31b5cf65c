"""Planned growth: how wide is a network when? Cost by a plan, widths in given proportions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from growsearch.growth.budget.allocation import ALLOCATIONS
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.policies.birth import reorder
from growsearch.growth.policies.policy import GrowthTask
from growsearch.growth.policies.ungated import OpenGates
from growsearch.training import tensors_under


class PlannedGrowth(OpenGates):
    """Starts at a share of the budget, widens a few times and lets nothing go.

    Seeds of a quarter of the width and cost that rises by equal factors are those of Yuan, Savarese
    and Maire 2023 ("Accelerated Training via Incrementally Growing Neural Networks"), section 4.1.
    Until the allocation has seen data, widths are in the proportions of the full network, with all
    units that the budget has room for. Gates are open.
    """

    def __init__(self, task: GrowthTask) -> None:
        self._task = task
        structures = task.structures
        # The place of every channel in the order in which its group takes them in.
        self._place = torch.cat([torch.arange(size) for size in structures.sizes])
        self._weights = [float(size) for size in structures.sizes]
        self._allocation = ALLOCATIONS[task.config.allocation](task.projection)
        self._epochs = 0
        super().__init__(scores=self._scores_of(self._weights))

    def _scores_of(self, weights: Sequence[float]) -> Tensor:
        """Return, as a rank, at which common factor on the weights each channel comes in."""
        each = torch.tensor(weights).repeat_interleave(torch.tensor(self._task.structures.sizes))
        return -(self._place + 1) / each

    def start(self) -> Tensor:
        """Return the seed: the widest network in the full proportions within its share."""
        share = self._task.config.seed_share
        return self._task.structures.seed() if share == 0 else self._widest(share)

    def _widest(self, share: float, live: Tensor | None = None) -> Tensor:
        """Return the widest network of the present weights that costs ``share`` of the limit.

        What is ``live`` stays.
        """
        projection, scores = _within(self._task.projection, share), self._scores
        kept = self._task.structures.seed() if live is None else live
        factors = sorted(set((-scores).tolist()))
        low, high = -1, len(factors) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if projection.cost(self._up_to(factors[middle], kept)) <= projection.limit:
                low = middle
            else:
                high = middle - 1
        found = kept if low < 0 else self._up_to(factors[low], kept)
        return projection.with_one_each(found, scores)

    def _up_to(self, factor: float, kept: Tensor) -> Tensor:
        structures = self._task.structures
        return structures.running(kept | (-self._scores <= factor) | structures.first_of_each())

    def learn(self, gate_gradients: Tensor) -> None:
        """Hand the gradients to the allocation."""
        self._allocation.learn(gate_gradients)

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Exchange the places of unborn channels within each group."""
        self._place = -reorder(-self._place, order, unborn, self._task.structures)
        self._scores = self._scores_of(self._weights)

    def draw(self, live: Tensor) -> Tensor:
        """Return what lives, widened where the plan has a step at the end of this epoch."""
        return self._grown(live)

    def settle(self, live: Tensor) -> Tensor:
        """Return what lives, widened to the whole budget."""
        return self._grown(live)

    def _grown(self, live: Tensor) -> Tensor:
        plan = self._task.config.plan
        if plan(self._epochs + 1) == plan(self._epochs):
            return live
        self._weights = self._allocation.weights(live)
        self._scores = self._scores_of(self._weights)
        return self._widest(plan(self._epochs + 1), live)

    def advance(self, live: Tensor) -> None:  # noqa: ARG002
        """Count the epochs."""
        self._epochs += 1

    def state(self) -> dict[str, Tensor]:
        """Return the order, the proportions, the count and what the allocation has learned."""
        return {
            "place": self._place,
            "weights": torch.tensor(self._weights, dtype=torch.float64),
            "epochs": torch.tensor(self._epochs),
            **{f"allocation.{key}": value for key, value in self._allocation.state().items()},
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._place = state["place"]
        self._weights = state["weights"].tolist()
        self._epochs = int(state["epochs"])
        self._allocation.load_state(tensors_under("allocation.", state))
        self._scores = self._scores_of(self._weights)


def _within(projection: BudgetProjection, share: float) -> BudgetProjection:
    """Return the projection on ``share`` of the limit."""
    return dataclasses.replace(projection, limit=projection.limit_at(share))
