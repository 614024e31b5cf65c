"""Which channels should live, as learned by SGD? Continuous sparsification under a budget.

Yuan, Savarese and Maire, "Growing Efficient Deep Networks by Structured Continuous
Sparsification", arXiv 2007.15353.
"""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.growth.birth import reorder
from growsearch.growth.policy import GrowthTask
from growsearch.growth.relaxation import RELAXATIONS, Relaxation
from growsearch.growth.steering import STEERINGS


class LearnedIndicators:
    """Mask variables s with separate temperatures beta; a gate is sigma(beta s).

    Eq. 6: every epoch runs channels drawn from Bernoulli(sigma(beta s)). Eq. 4: the penalty's
    strength follows the gap between expected cost and budget, so below budget it wakes channels
    and above it prunes. Eq. 7: beta rises with each channel's own count of live epochs.
    """

    def __init__(self, task: GrowthTask) -> None:
        self._task = task
        settings = self._settings = task.config.indicators
        structures, epochs = task.structures, task.config.recipe.epochs
        noise = torch.randn(structures.total, generator=task.generator)
        self._live = structures.first_of_each()
        self._s = settings.noise * noise - settings.initial
        self._s[self._live] = settings.initial
        self._velocity = torch.zeros_like(self._s)
        self._heat = torch.zeros_like(self._s)
        self._epoch = 0
        # SGD with momentum moves lr / (1 - momentum) times a constant gradient a step.
        travel = settings.learning_rate / (1 - settings.momentum)
        self._penalty = settings.control_gain / (travel * task.steps_per_epoch * epochs)
        self._relaxation: Relaxation = RELAXATIONS[settings.relaxation]()
        self._steering = STEERINGS[settings.steering](self._penalty * settings.steering_strength)

    def _beta(self) -> Tensor:
        """Eq. 7."""
        settings = self._settings
        rise: Tensor = settings.beta_rise ** (self._heat / self._task.config.recipe.epochs)
        return settings.beta_start * rise

    def gates(self) -> Tensor:
        """Return the present gates."""
        return self._relaxation.gates(self._s, self._beta())

    def scores(self) -> Tensor:
        """Return beta s, which ranks as sigma(beta s) does but never saturates."""
        return self._beta() * self._s

    def learn(self, gate_gradients: Tensor) -> None:
        """Take one SGD step on the task loss plus the budget-aware penalty (Eq. 4 and 8)."""
        settings, s, beta, relaxed = self._settings, self._s, self._beta(), self._relaxation
        gap = self._task.allowance.expected_share(relaxed.probabilities(s, beta)) - 1
        push = self._steering.push(gate_gradients, relaxed.gates(s, beta), self._live)
        gradient = push * relaxed.gate_slopes(s, beta)
        gradient += self._penalty * gap * relaxed.probability_slopes(s, beta)
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
