"""Accuracy and cross-entropy of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.datasets.dataset import Split
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.placement import device_of

_BATCH = 512


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows of ``logits`` (N, classes) whose maximum is at the label (N,).

    Example:
        >>> import torch
        >>> from growsearch.metrics import accuracy
        >>> accuracy(torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), torch.tensor([0, 1, 1]))
        0.6666666666666666
    """
    return int((logits.argmax(dim=1) == labels).sum()) / len(labels)


def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Return the mean negative log-likelihood (NLL) in nats: mean of -log softmax at the label.

    Example:
        >>> import torch
        >>> from growsearch.metrics import cross_entropy
        >>> round(cross_entropy(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0])), 4)
        0.6931
    """
    return float(F.cross_entropy(logits, labels))


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor, *, batch: int = _BATCH) -> Tensor:
    """Return the logits (N, classes) of ``model`` in evaluation mode; modes are restored.

    Parts of ``inputs`` go where the network is; the logits come back to where the inputs are.

    Example:
        >>> import torch
        >>> from growsearch.metrics import predict
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.5))
        >>> predict(module, torch.ones(3, 4)).shape, module.training
        (torch.Size([3, 2]), True)
    """
    with evaluating(model):
        device = device_of(model)
        parts = [model(part.to(device)).to(inputs.device) for part in torch.split(inputs, batch)]
        return torch.cat(parts)


def predict_split(model: nn.Module, split: Split) -> tuple[Tensor, Tensor]:
    """Return logits (N, classes) and labels (N,) of a split, streamed or in memory; see `predict`.

    Example:
        >>> import torch
        >>> from growsearch.datasets import Split
        >>> from growsearch.metrics import predict_split
        >>> split = Split(inputs=torch.ones(3, 4), labels=torch.tensor([0, 1, 1]))
        >>> logits, labels = predict_split(torch.nn.Linear(4, 2), split)
        >>> logits.shape, labels.tolist()
        (torch.Size([3, 2]), [0, 1, 1])
    """
    parts = [(predict(model, inputs), labels) for inputs, labels in split.batches(_BATCH)]
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits, labels
