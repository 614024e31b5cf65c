"""Taylor importance: the squared change of the loss, to first order, without a channel."""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.pruning.importance.importance import Judged


def taylor(judged: Judged) -> Tensor:
    """Return (sum of gradient x weight over the group)^2 (total,), averaged over batches.

    Molchanov, Mallya, Tyree, Frosio and Kautz, "Importance Estimation for Neural Network Pruning",
    CVPR 2019: the squared first-order term of the loss for a structural set S of parameters,
    I_S = (sum over s in S of g_s w_s)^2, averaged over minibatches.
    """
    found = judged.gradient_sums(judged.batches)
    return torch.stack(found).square().mean(dim=0)
