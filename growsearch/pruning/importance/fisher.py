"""Fisher importance: the squared gradient of a channel's gate, averaged over single examples."""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.pruning.importance.importance import Judged

# Each takes a backward pass of its own.
_EXAMPLES = 64


def fisher(judged: Judged) -> Tensor:
    """Return the mean over examples of (sum of gradient x weight over the group)^2 (total,).

    Theis, Korshunova, Tejani and Huszar, "Faster gaze prediction with dense networks and Fisher
    pruning", arXiv 1801.05787: Delta_k = 1/(2N) sum over n of g_nk^2, g_nk being the gradient of
    example n with respect to the gate of channel k; for channels that several layers share as in
    Liu et al., "Group Fisher Pruning", ICML 2021. What cancels between examples counts as well.
    """
    singles = [
        (inputs[place : place + 1], targets[place : place + 1])
        for inputs, targets in judged.batches
        for place in range(len(inputs))
    ]
    found = judged.gradient_sums(singles[:_EXAMPLES])
    return torch.stack(found).square().mean(dim=0)
