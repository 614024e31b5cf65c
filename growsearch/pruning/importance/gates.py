"""Gates as an importance: the indicators of growth run downwards, from a network that is whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from growsearch.growth.config import GrowthConfig, IndicatorConfig
from growsearch.growth.policies.learned import LearnedIndicators
from growsearch.growth.policies.policy import GrowthTask
from growsearch.pruning.importance.importance import Judged, PruneTask

# A short run's raw gradient cannot steer indicators against the penalty; saliency does.
_SETTINGS = IndicatorConfig(steering="taylor")


class GateImportance:
    """L0 gates that close under a budget-aware penalty, each with a temperature of its own.

    Savarese, Silva and Maire, "Winning the Lottery with Continuous Sparsification", NeurIPS 2020,
    in the form of arXiv 2007.15353, eq. 4, 6 and 7 (see `LearnedIndicators`): all start open, at
    sigma(3) = 0.95, and the gap between the expected cost and the budget closes those whose
    saliency is lowest. What the budget leaves of them is in the order of beta s.
    """

    def __init__(self, task: PruneTask) -> None:
        recipe = dataclasses.replace(task.recipe, epochs=max(2, task.epochs))
        self._indicators = LearnedIndicators(
            GrowthTask(
                projection=task.projection,
                config=GrowthConfig(recipe=recipe, indicators=_SETTINGS),
                steps_per_epoch=task.steps_per_epoch,
                generator=task.generator,
            )
        )
        state = self._indicators.state()
        state["s"] = torch.full_like(state["s"], _SETTINGS.initial)
        state["live"] = torch.ones_like(state["live"])
        self._indicators.load_state(state)

    def scores(self, judged: Judged) -> Tensor:
        """Return exp(beta s) of what is live: positive, in the order of the gates."""
        found = self._indicators.scores().double().clamp(max=50.0).exp()
        return found * judged.live

    def gates(self) -> Tensor:
        """Return the present gates (total,)."""
        return self._indicators.gates()

    def learn(self, gradients: Tensor) -> None:
        """Take in dL/dgate (total,) of one step's batch."""
        self._indicators.learn(gradients)

    def advance(self, live: Tensor) -> None:
        """Note at the end of an epoch what is live."""
        self._indicators.advance(live)

    def state(self) -> dict[str, Tensor]:
        """Return all that changes over a run."""
        return self._indicators.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._indicators.load_state(state)
