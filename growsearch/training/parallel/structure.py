"""Structure of a run under way: all that must be equal on the workers that share it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from growsearch.training.state import Hook, TrainingState


def structure_of(state: TrainingState, hooks: Sequence[Hook]) -> list[tuple[str, Tensor]]:
    """Return named tensors: shapes, masks, what hooks decided, counters and the common stream.

    Weights are not among them: machines of two kinds round differently.
    """
    model = state.model
    parts = [
        (name, torch.tensor([*tensor.shape, tensor.requires_grad], dtype=torch.long))
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    ]
    parts += [
        (name, tensor) for name, tensor in model.named_buffers() if tensor.dtype == torch.bool
    ]
    for place, hook in enumerate(hooks):
        named = f"{type(hook).__name__} {place}"
        parts += [(f"{named}: {key}", tensor) for key, tensor in hook.structure().items()]
    counters = torch.tensor([state.step, state.forward_macs, state.training_macs])
    return [*parts, ("the cost", counters), ("the order of batches", state.generator.get_state())]
