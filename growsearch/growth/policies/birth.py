"""Birth of channels: which one that never lived would lower the loss fastest, by one batch?"""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.gate import Gate
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.training import Loss, mean_loss


def birth_scores(
    surgeon: Surgeon, gates: dict[str, Gate], inputs: Tensor, labels: Tensor, loss: Loss = mean_loss
) -> Tensor:
    """Return, for every channel (total,), how strongly its consumers' weights want to grow.

    All channels that do not run are attached to a copy of the network with consumers' weights at
    zero and open gates, which keeps its function. The score is the norm of the loss gradient with
    respect to the weights that consume the channel: to first order, the fall of the loss for a
    step of given length (the reasoning of GradMax, Evci et al. 2022, applied to filters that are
    drawn, not computed). This runs the full configuration forward and backward on ``inputs``;
    ``loss`` maps (outputs, labels) to a scalar.
    """
    module = surgeon.full_copy(gates)
    module.train()
    with torch.enable_grad():
        loss(module(inputs), labels).backward()  # type: ignore[no-untyped-call]
    squares = torch.zeros(surgeon.structures.total)
    for channels, gradient in surgeon.consumer_gradients(module):
        squares[channels] += gradient.square().sum(dim=1).cpu()
    return squares.sqrt()


def reorder(values: Tensor, order: Tensor, members: Tensor, structures: Structures) -> Tensor:
    """Return ``values`` (total,) with those of ``members`` exchanged within their group.

    The largest of a group's values goes to its member with the highest ``order`` and so on;
    channels outside the mask ``members`` keep theirs.
    """
    result = values.clone()
    parts = (structures.split(t) for t in (result, order, members))
    for part, rank, mask in zip(*(p.values() for p in parts), strict=True):
        places = mask.nonzero().flatten()
        by_order = places[rank[places].argsort(descending=True, stable=True)]
        part[by_order] = part[places].sort(descending=True).values
    return result
