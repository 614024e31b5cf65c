"""Pace of a growing run: how long its epochs are, and where its learning rate stands.

A network that grows is cheap while it is small. By epochs its learning rate falls when it has
learned little; by training MACs it falls when a network of fixed widths that costs as much would
have it fall.
"""

from __future__ import annotations

from dataclasses import dataclass

from growsearch.training import TRAINING_PASSES, TrainingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Training MACs as a clock; see ``pace`` and ``until`` of `GrowthConfig`.

    ``uniform_macs`` are those of one example through the uniform network of the budget.
    """

    by_compute: bool
    matched: bool
    uniform_macs: int
    step_examples: int

    def steps_of_epoch(self, state: TrainingState, *, frozen: bool) -> int | None:
        """Return how many steps the coming epoch has; None is one pass over the examples.

        The epochs that are left share what is left of the training MACs, at least a step each.
        """
        if not (self.matched and frozen):
            return None
        left = self._whole(state, frozen=frozen) - state.training_macs
        epochs = state.recipe.epochs - state.epoch
        return max(1, round(left / epochs / self._step_macs(state.forward_macs)))

    def learning_rate(self, state: TrainingState, *, frozen: bool) -> float | None:
        """Return the rate of the step in progress; None is the recipe's by the share of steps.

        While structure changes it is the peak, once warm-up is over.
        """
        if not self.by_compute and not self.matched:
            return None
        recipe = state.recipe
        if not self.by_compute:
            inside = (state.step - state.epoch_start) / state.epoch_steps
            return recipe.learning_rate_at((state.epoch + inside) / recipe.epochs)
        spent = min(1.0, state.training_macs / self._whole(state, frozen=frozen))
        warm = spent * recipe.epochs >= min(recipe.warmup_epochs, recipe.epochs / 2)
        return recipe.learning_rate_at(spent) if frozen or not warm else recipe.learning_rate

    def _whole(self, state: TrainingState, *, frozen: bool) -> float:
        """Return the training MACs of the whole run."""
        if self.matched or not frozen:
            return self._step_macs(self.uniform_macs) * state.total_steps
        left = state.total_steps - state.step
        return state.training_macs + self._step_macs(state.forward_macs) * left

    def _step_macs(self, forward_macs: int) -> int:
        return TRAINING_PASSES * forward_macs * self.step_examples
