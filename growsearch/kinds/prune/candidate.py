"""Pruning candidate: a trained network that is cut down to a budget, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.codec import added, inline
from growsearch.kinds.growth.bound import WrittenBound
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.pruning import Distillation, PruneConfig
from growsearch.training import InitialWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneCandidate(CandidateConfig):
    """Take channels and units from the trained full network of ``space``, down to a budget.

    What is not named below is of `PruneConfig` and `Distillation`.

    Attributes:
        space: a key of SEARCH_SPACES, or own code.
        init: the trained weights, by the name of their content.
        budget: the bound.
        training: the recipe of the whole run.
        device_batch: examples at once where a latency is bounded.
        layers: whether units may go, too, where the space has a choice of them.
        shares: pairs of a pattern of groups' names and the share that they keep.

    Raises:
        UsageError: for a value out of range.
    """

    kind: ClassVar[str] = "prune"

    space: str
    init: str
    budget: WrittenBound
    importance: str = "taylor"
    allocation: str = "knapsack"
    training: RecipeChoice = inline()
    device_batch: int = added(1)
    layers: bool = added(True)
    shares: tuple[tuple[str, float], ...] = added(())
    steps: int = added(5)
    over: float = added(0.3)
    width_multiple: int = added(1)
    least_share: float = added(0.1)
    distillation: float = added(0.5)
    temperature: float = added(4.0)
    features: float = added(0.0)

    def __post_init__(self) -> None:
        self._config(None)

    def config(self) -> PruneConfig:
        """Return how the network is to be pruned.

        Raises:
            UsageError: if nobody has said where the file of the weights lies.
        """
        return self._config(initial_weights(self.init))

    def _config(self, init: InitialWeights | None) -> PruneConfig:
        return PruneConfig(
            recipe=self.training.recipe(),
            importance=self.importance,
            allocation=self.allocation,
            shares=dict(self.shares),
            steps=self.steps,
            over=self.over,
            width_multiple=self.width_multiple,
            least_share=self.least_share,
            prune_layers=self.layers,
            distillation=Distillation(
                weight=self.distillation, temperature=self.temperature, features=self.features
            ),
            init=init,
        )
