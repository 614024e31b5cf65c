"""How do benchmarks take one training step at a time, so that two networks can be interleaved?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.training import TRAINING_PASSES, Hook, Recipe, TrainingState, make_optimizer


class Stepper:
    """Trains one network step by step, as `growsearch.training.train` does, on given batches."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        steps: int,
        forward_macs: int = 0,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.state = TrainingState(
            model=model,
            optimizer=make_optimizer(model, recipe),
            recipe=recipe,
            steps_per_epoch=steps,
            forward_macs=forward_macs,
            generator=torch.Generator().manual_seed(0),
        )
        self._hooks = hooks
        model.train()
        for hook in hooks:
            hook.on_start(self.state)

    def step(self, inputs: Tensor, labels: Tensor) -> float:
        """Take one step; logits (N, ..., classes) meet labels (N, ...). Return the loss."""
        state = self.state
        state.batch_examples = len(labels)
        state.optimizer.zero_grad(set_to_none=True)
        logits = state.model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        # A list: every hook sees the gradients.
        wanted = [hook.before_update(state) for hook in self._hooks]
        if all(wanted):
            state.optimizer.step()
        state.step += 1
        state.training_macs += TRAINING_PASSES * state.forward_macs * len(labels)
        for hook in self._hooks:
            hook.after_update(state)
        return value
