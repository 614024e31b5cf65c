"""Brier score: how far are a network's probabilities from what happened?"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def brier_score(logits: Tensor, labels: Tensor) -> float:
    """Return the mean over examples of sum_k (p_k - [k is the label])^2, in [0, 2].

    Brier 1950 (Monthly Weather Review 78, equation 2), the original form over all classes.

    Args:
        logits: (N, classes); their softmax is p.
        labels: (N,).

    Example:
        >>> import torch
        >>> from growsearch.metrics import brier_score
        >>> brier_score(torch.zeros(2, 2), torch.tensor([0, 1]))
        0.5
    """
    probabilities = logits.detach().cpu().double().softmax(dim=1)
    truth = F.one_hot(labels.cpu(), logits.shape[1])
    return float((probabilities - truth).square().sum(dim=1).mean())
