"""Adaptive calibration error (ECE with equal mass): as many examples in every bin."""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.metrics.ece import BINS, top_class


def adaptive_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """Return the calibration error over bins of equal mass, a share in [0, 1].

    Nixon et al. 2019 (arXiv 1904.01685, section 4): confidences are sorted and cut into bins that
    differ by one example at most, so that no bin rests on a handful. Of the top class alone and
    weighted by the bins' sizes, which makes it comparable with `expected_calibration_error`.

    Args:
        logits: (N, classes).
        labels: (N,).
        bins: how many; those left empty when there are fewer examples count nothing.

    Example:
        >>> import torch
        >>> from growsearch.metrics import adaptive_calibration_error
        >>> even = torch.zeros(4, 2)
        >>> adaptive_calibration_error(even, torch.tensor([0, 0, 1, 1]), bins=1)
        0.0
    """
    confidence, right = top_class(logits, labels)
    order = confidence.argsort(stable=True)
    gaps = torch.tensor_split((right - confidence)[order], bins)
    return sum(abs(float(gap.sum())) for gap in gaps) / len(labels)
