"""Random indicators, a baseline: drawn with one fixed probability instead of learned.

The random baseline of arXiv 2007.15353, section 4.5, table 5.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from growsearch.growth.policies.policy import GrowthTask
from growsearch.growth.policies.ungated import OpenGates

_BISECTIONS = 40


class RandomIndicators(OpenGates):
    """Draws all anew each epoch, with the one probability that spends the budget on average.

    Which channels and units fall out where a draw is over budget is random as well. Gates are open.
    """

    def __init__(self, task: GrowthTask) -> None:
        self._task = task
        self._probability = affordable_share(task)
        super().__init__(scores=self._random())

    def _random(self) -> Tensor:
        return torch.rand(self._task.structures.total, generator=self._task.generator)

    def start(self) -> Tensor:
        """Return the least network."""
        return self._task.structures.seed()

    def probabilities(self) -> Tensor:
        """Return the one probability of all."""
        return torch.full_like(self._scores, self._probability)

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Prefer nothing: every channel has the same probability."""

    def draw(self, live: Tensor) -> Tensor:  # noqa: ARG002
        """Return a fresh draw."""
        self._scores = self._random()
        return self._random() < self._probability

    def settle(self, live: Tensor) -> Tensor:
        """Return one more draw."""
        return self.draw(live)

    def advance(self, live: Tensor) -> None:
        """Remember nothing."""

    def state(self) -> dict[str, Tensor]:
        """Return the present order."""
        return {"scores": self._scores}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._scores = state["scores"]


def affordable_share(task: GrowthTask) -> float:
    """Return the probability at which the expected cost equals the budget, by bisection."""
    low, high = 0.0, 1.0
    ones = torch.ones(task.structures.total)
    if task.projection.expected_share(ones) <= 1:
        return 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if task.projection.expected_share(middle * ones) > 1:
            high = middle
        else:
            low = middle
    return low
