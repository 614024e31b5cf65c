"""Growth candidate: a network that grows from one channel a group to a budget, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from growsearch.growth import FrontConfig, GrowthConfig, IndicatorConfig
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.codec import added, inline
from growsearch.kinds.growth.bound import WrittenBound
from growsearch.kinds.growth.trunk import Trunk
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.training import InitialWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthCandidate(CandidateConfig):
    """Grow channels and layers of ``space`` up to a budget.

    What is not named below is of `GrowthConfig` and `IndicatorConfig`.

    Attributes:
        space: a key of SEARCH_SPACES, or own code.
        budget: the bound.
        training: the recipe of the whole run.
        device_batch: examples at once where a latency is bounded.
        layers: whether layers grow, too, where the space has a choice of them.
        control_gain: how hard the budget pulls on the indicators of channels and of layers.
        init: trained weights that the full network starts with, by the name of their content.
        trunk: the budgets of the trunk that this network is a branch of, at its own budget.

    Raises:
        UsageError: for a value out of range.
    """

    kind: ClassVar[str] = "growth"

    space: str
    budget: WrittenBound
    training: RecipeChoice = inline()
    device_batch: int = added(1)
    policy: str = added("learned")
    layers: bool = added(True)
    freeze_at: float = added(0.5)
    birth: str = added("chance")
    width_multiple: int = added(1)
    direct_design: bool = added(False)
    steering: str = added("task")
    steering_strength: float = added(0.3)
    relaxation: str = added("sigmoid")
    temperature: str = added("structure")
    temperature_decay: bool = added(False)
    control_gain: float = added(160.0)
    seed_share: float = added(0.0)
    steps: int | None = added(None)
    allocation: str = added("uniform")
    pace: str = added("epochs")
    until: str = added("epochs")
    norms: str = added("kept")
    init: str | None = added(None)
    trunk: Trunk | None = added(None)

    def __post_init__(self) -> None:
        self._config(None)
        if self.trunk is not None:
            self.trunk.index(self.budget.value)
            self.front()

    def drawn_from(self) -> dict[str, Any]:
        """Return all but where a trunk's branch leaves it: branches share one seed."""
        content = self.to_json()
        return content if self.trunk is None else _without(content, "budget", "trunk")

    def stage_key(self, stage: int, seed: int) -> dict[str, Any]:
        """Return what the trunk at the end of ``stage`` depends on; what comes later is no part."""
        assert self.trunk is not None
        return {
            **_without(self.to_json(), "budget", "trunk"),
            "metric": self.budget.metric,
            "budgets": list(self.trunk.budgets[: stage + 1]),
            "stage_epochs": list(self.trunk.stage_epochs[: stage + 1]),
            "seed": seed,
        }

    def front(self) -> FrontConfig:
        """Return how the trunk is to grow."""
        assert self.trunk is not None
        return self.trunk.front(self.training.recipe(), self.width_multiple, self.norms)

    def config(self) -> GrowthConfig:
        """Return how the network is to grow.

        Raises:
            UsageError: if nobody has said where the file of the initial weights lies.
        """
        return self._config(initial_weights(self.init))

    def _config(self, init: InitialWeights | None) -> GrowthConfig:
        return GrowthConfig(
            recipe=self.training.recipe(),
            policy=self.policy,
            seed_share=self.seed_share,
            steps=self.steps,
            allocation=self.allocation,
            pace=self.pace,
            until=self.until,
            norms=self.norms,
            freeze_at=self.freeze_at,
            birth=self.birth,
            grow_layers=self.layers,
            width_multiple=self.width_multiple,
            direct_design=self.direct_design,
            init=init,
            indicators=IndicatorConfig(
                control_gain=self.control_gain,
                layer_gain=self.control_gain,
                relaxation=self.relaxation,
                temperature=self.temperature,
                temperature_decay=self.temperature_decay,
                steering=self.steering,
                steering_strength=self.steering_strength,
            ),
        )


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}
