"""Average precision of a ranking, and its mean over labels (mAP)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def average_precision(scores: Tensor, labels: Tensor) -> float:
    """Return the sum of (recall - recall before) x precision over the thresholds of ``scores``.

    The usual definition, without interpolation: each different score is a threshold, so that
    examples of equal scores count together, whatever their order.

    Args:
        scores: (N,), higher for what is held to have the label.
        labels: (N,) bool, with one True at least; else the result is not a number.

    Example:
        >>> import torch
        >>> from growsearch.metrics import average_precision
        >>> scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
        >>> round(average_precision(scores, torch.tensor([True, False, True, False])), 4)
        0.8333
    """
    scores, labels = scores.cpu(), labels.cpu()
    positives = int(labels.sum())
    if not positives:
        return math.nan
    order = scores.argsort(descending=True, stable=True)
    ranked, right = scores[order], labels[order].double().cumsum(dim=0)
    # The last place of each score: what lies at or above the threshold.
    last = torch.ones(len(ranked), dtype=torch.bool, device=ranked.device)
    last[:-1] = ranked[1:] != ranked[:-1]
    places = last.nonzero().flatten()
    hits = right[places]
    precision = hits / (places + 1).double()
    gained = torch.diff(hits, prepend=hits.new_zeros(1)) / positives
    return float((gained * precision).sum())


def mean_average_precision(scores: Tensor, labels: Tensor) -> float:
    """Return the mean of `average_precision` over the labels that some example has (macro mAP).

    Args:
        scores: (N, K).
        labels: (N, K) bool; not a number where there is no True at all.

    Example:
        >>> import torch
        >>> from growsearch.metrics import mean_average_precision
        >>> scores = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.8, 0.4]])
        >>> labels = torch.tensor([[True, False, False], [False, True, False]])
        >>> mean_average_precision(scores, labels)
        1.0
    """
    scores, labels = scores.cpu(), labels.cpu()
    there = labels.any(dim=0).nonzero().flatten().tolist()
    found = [average_precision(scores[:, k], labels[:, k]) for k in there]
    return math.fsum(found) / len(found) if found else math.nan
