"""Expected calibration error (ECE): is a network right as often as it says it is?"""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 15


def expected_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """Return sum_m |B_m| / N |accuracy(B_m) - confidence(B_m)|, a share in [0, 1].

    Guo et al. 2017 (arXiv 1706.04599, equation 3). The confidence is the largest softmax
    probability; B_m holds the examples whose confidence is in ((m - 1) / bins, m / bins].

    Args:
        logits: (N, classes).
        labels: (N,).
        bins: how many of equal width.

    Example:
        >>> import torch
        >>> from growsearch.metrics import expected_calibration_error
        >>> sure = torch.tensor([[100.0, 0.0], [100.0, 0.0], [100.0, 0.0], [100.0, 0.0]])
        >>> expected_calibration_error(sure, torch.tensor([0, 0, 0, 1]))
        0.25
    """
    confidence, right = top_class(logits, labels)
    place = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - confidence)
    return float(gaps.abs().sum()) / len(labels)


def top_class(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return every example's confidence and whether it is right (1 or 0), both (N,) float64."""
    confidence, predicted = logits.detach().cpu().double().softmax(dim=1).max(dim=1)
    return confidence, (predicted == labels.cpu()).double()
