"""How does an optimizer forget what it knew of a connection that has just been grown?"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def clear_slots(optimizer: torch.optim.Optimizer, parameter: Tensor, where: Tensor) -> None:
    """Zero the per-weight slots (momentum, Adam's moments) of ``parameter`` where ``where`` holds.

    Slots of another shape, such as Adam's step count, are not per weight and stay.
    """
    for slot in optimizer.state.get(parameter, {}).values():
        if isinstance(slot, Tensor) and slot.shape == parameter.shape:
            slot.masked_fill_(where, 0.0)
