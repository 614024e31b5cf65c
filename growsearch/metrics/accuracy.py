"""Accuracy and cross-entropy of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.metrics.evaluation import evaluating


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows of ``logits`` (N, classes) whose maximum is at the label (N,)."""
    return int((logits.argmax(dim=1) == labels).sum()) / len(labels)


def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Return the mean negative log-likelihood (NLL) in nats: mean of -log softmax at the label."""
    return float(F.cross_entropy(logits, labels))


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor, *, batch: int = 512) -> Tensor:
    """Return the logits (N, classes) of ``model`` in evaluation mode; modes are restored."""
    with evaluating(model):
        return torch.cat([model(part) for part in torch.split(inputs, batch)])
