"""Learned indicators: which channels and units should live? Sparsification under a budget.

Yuan, Savarese and Maire, "Growing Efficient Deep Networks by Structured Continuous
Sparsification", arXiv 2007.15353.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from growsearch.growth.config import usual_gain
from growsearch.growth.indicators.relaxation import RELAXATIONS, Relaxation
from growsearch.growth.indicators.steering import STEERINGS
from growsearch.growth.policies.birth import reorder
from growsearch.growth.policies.policy import GrowthTask
from growsearch.training import tensors_under


class LearnedIndicators:
    """Mask variables s with separate temperatures beta; a gate is sigma(beta s).

    Eq. 6: every epoch runs channels drawn from Bernoulli(sigma(beta s)). Eq. 4: the penalty's
    strength follows the gap between expected cost and budget, so below budget it wakes structures
    and above it prunes. Eq. 7: beta rises with each structure's own count of live epochs. Channels
    and units (lambda1 and lambda2 in the paper) have a gain of their own.
    """

    def __init__(self, task: GrowthTask) -> None:
        self._task = task
        settings = self._settings = task.config.indicators
        structures, epochs = task.structures, task.config.recipe.epochs
        noise = torch.randn(structures.total, generator=task.generator)
        self._live = structures.seed()
        self._s = settings.noise * noise - settings.initial
        self._s[structures.first_of_each()] = settings.initial
        self._velocity = torch.zeros_like(self._s)
        self._heat = torch.zeros_like(self._s)
        self._epoch = 0
        # SGD with momentum moves lr / (1 - momentum) times a constant gradient a step.
        travel = settings.learning_rate / (1 - settings.momentum)
        per_step = travel * task.steps_per_epoch * epochs
        usual = usual_gain(epochs)
        gain = usual if settings.control_gain is None else settings.control_gain
        gains = torch.full_like(self._s, gain)
        layer_gain = usual if settings.layer_gain is None else settings.layer_gain
        gains[structures.are_units()] = layer_gain
        self._penalty = gains / per_step
        self._relaxation: Relaxation = RELAXATIONS[settings.relaxation]()
        strength = settings.steering_strength * gain / per_step
        self._steering = STEERINGS[settings.steering](strength)

    def _beta(self) -> Tensor:
        """Eq. 7."""
        settings = self._settings
        rise: Tensor = settings.beta_rise ** (self._heat / self._task.config.recipe.epochs)
        return settings.beta_start * rise

    def start(self) -> Tensor:
        """Return the least network."""
        return self._task.structures.seed()

    def gates(self) -> Tensor:
        """Return the present gates."""
        return self._relaxation.gates(self._s, self._beta())

    def scores(self) -> Tensor:
        """Return beta s, which ranks as sigma(beta s) does but never saturates."""
        return self._beta() * self._s

    def temperatures(self) -> Tensor:
        """Return beta."""
        return self._beta()

    def probabilities(self) -> Tensor:
        """Return the probabilities of the next draw."""
        return self._relaxation.probabilities(self._s, self._beta())

    def learn(self, gate_gradients: Tensor) -> None:
        """Take one SGD step on the task loss plus the budget-aware penalty (Eq. 4 and 8).

        Under a latency budget the penalty follows what each structure costs on the device.
        """
        settings, s, beta, relaxed = self._settings, self._s, self._beta(), self._relaxation
        probabilities, projection = relaxed.probabilities(s, beta), self._task.projection
        gap = projection.expected_share(probabilities) - 1
        push = self._steering.push(gate_gradients, relaxed.gates(s, beta), self._live)
        gradient = push * relaxed.gate_slopes(s, beta)
        penalty = self._penalty * gap * projection.pressure(probabilities, over=gap > 0)
        gradient += penalty * relaxed.probability_slopes(s, beta)
        gradient += settings.weight_decay * s
        self._velocity.mul_(settings.momentum).add_(gradient)
        self._s.sub_(self._velocity, alpha=settings.learning_rate)

    def prefer(self, unborn: Tensor, order: Tensor) -> None:
        """Exchange the mask variables of unborn channels within each group."""
        self._s = reorder(self._s, order, unborn, self._task.structures)

    def draw(self, live: Tensor) -> Tensor:  # noqa: ARG002
        """Return one sample of the indicators."""
        return self._relaxation.draw(self._s, self._beta(), self._task.generator)

    def settle(self, live: Tensor) -> Tensor:  # noqa: ARG002
        """Return the channels whose gate is more open than closed."""
        return self._relaxation.settle(self._s)

    def advance(self, live: Tensor) -> None:
        """Raise the temperature counters: of the channels that run next, or of all."""
        self._live = live
        step = 1.0
        if self._settings.temperature_decay:
            recipe = self._task.config.recipe
            step = recipe.learning_rate_at(self._epoch / recipe.epochs) / recipe.learning_rate
        self._heat += step if self._settings.temperature == "global" else step * live
        self._epoch += 1

    def state(self) -> dict[str, Tensor]:
        """Return the mask variables with their velocities and temperature counters."""
        return {
            "live": self._live,
            "s": self._s,
            "velocity": self._velocity,
            "heat": self._heat,
            "epoch": torch.tensor(self._epoch),
            **{f"relaxation.{key}": value for key, value in self._relaxation.state().items()},
            **{f"steering.{key}": value for key, value in self._steering.state().items()},
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._live, self._s, self._velocity, self._heat = (
            state[key] for key in ("live", "s", "velocity", "heat")
        )
        self._epoch = int(state["epoch"])
        self._relaxation.load_state(tensors_under("relaxation.", state))
        self._steering.load_state(tensors_under("steering.", state))
