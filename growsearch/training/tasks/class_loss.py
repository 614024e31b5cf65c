"""Loss of classes: cross-entropy or focal loss, with a weight for each class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from growsearch.datasets.dataset import UNLABELLED, Dataset
from growsearch.datasets.task_choice import BALANCED
from growsearch.errors import UsageError


def class_weights(dataset: Dataset) -> Tensor | None:
    """Return the factors (classes,) of a data set's task; None where all are alike.

    "balanced" is N / (C x n) for a class of n of the N training labels, where C classes occur; one
    that does not occur has 1.

    Raises:
        UsageError: for another number of weights than classes.
    """
    wanted, classes = dataset.task.class_weights, dataset.num_classes
    if wanted is None:
        return None
    if wanted == BALANCED:
        labels = dataset.train.labels.cpu()
        told = labels[labels != UNLABELLED]
        counts = torch.bincount(told.flatten(), minlength=classes).double()
        occurring = int((counts > 0).sum())
        balanced = len(told.flatten()) / (occurring * counts.clamp_min(1))
        return torch.where(counts > 0, balanced, torch.ones_like(balanced)).float()
    if len(wanted) != classes:
        raise UsageError(
            f"class_weights: {len(wanted)} for the {classes} classes of {dataset.name}; give one a "
            "class, or balanced"
        )
    return torch.tensor(wanted, dtype=torch.float32)


def focal_loss(
    logits: Tensor, targets: Tensor, *, gamma: float, weight: Tensor | None = None
) -> Tensor:
    """Return the mean of -a_t (1 - p_t)^gamma log p_t (Lin et al. 2017, arXiv 1708.02002, eq. 5).

    p_t is the softmax at the target and a_t its class's weight. As torch's weighted cross-entropy,
    the mean is over the weights: the sum is divided by the sum of the a_t.

    Args:
        logits: (N, classes).
        targets: (N,); what is UNLABELLED does not count.
        gamma: 0 is the cross-entropy.
        weight: (classes,).

    Example:
        >>> import torch
        >>> from growsearch.training import focal_loss
        >>> round(float(focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=2.0)), 4)
        0.1733
    """
    there = targets != UNLABELLED
    log_shares = F.log_softmax(logits[there].float(), dim=-1)
    labels = targets[there]
    log_p = log_shares.gather(-1, labels[:, None])[:, 0]
    # 1 - p would be 0 for sure targets, where the power's slope is not a number for gamma below 1.
    left = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    losses = -(left**gamma) * log_p
    if weight is None:
        return losses.mean()
    factors = weight.to(logits.device)[labels]
    return (factors * losses).sum() / factors.sum()


def class_loss(
    logits: Tensor,
    targets: Tensor,
    dataset: Dataset,
    weight: Tensor | None,
    *,
    label_smoothing: float,
) -> Tensor:
    """Return the loss of logits (..., classes) for targets (...), as the data set's task says.

    Targets of floating point are probabilities (..., classes), as mixed images have.

    Raises:
        UsageError: for a focal loss with label smoothing.
    """
    shared = targets.is_floating_point() and targets.shape == logits.shape
    labels = targets.flatten(0, -2) if shared else targets.flatten()
    rows, task = logits.flatten(0, -2), dataset.task
    if task.loss == "focal":
        if label_smoothing:
            raise UsageError(
                f"loss: focal has no label smoothing, and the recipe has {label_smoothing}; take "
                "another recipe, or loss: cross-entropy"
            )
        return focal_loss(rows, labels, gamma=task.gamma, weight=weight)
    factors = None if weight is None else weight.to(rows.device, rows.dtype)
    return F.cross_entropy(rows, labels, weight=factors, label_smoothing=label_smoothing)
