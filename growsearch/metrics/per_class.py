"""Figures of each class, precision, recall and count, from a table of confusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Split
from growsearch.errors import UsageError
from growsearch.metrics.accuracy import predict_split
from growsearch.metrics.mean_iou import confusion


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """One class: how many examples (or pixels) are of it, and how well they are told.

    ``precision`` is the share of what is called so that is so, None where nothing is called so;
    ``recall`` the share of what is so that is called so, None where nothing is.

    Example:
        >>> from growsearch.metrics import ClassFigures
        >>> ClassFigures(count=4, precision=1.0, recall=0.75).recall
        0.75
    """

    count: int
    precision: float | None
    recall: float | None


def class_confusion(model: nn.Module, split: Split, *, classes: int) -> Tensor:
    """Return the number of examples or pixels (classes, classes) int64 by true and named class.

    Raises:
        UsageError: for labels that are no classes of examples or pixels.

    Example:
        >>> import torch
        >>> from growsearch.datasets import Split
        >>> from growsearch.metrics import class_confusion
        >>> split = Split(inputs=torch.eye(2), labels=torch.tensor([0, 0]))
        >>> class_confusion(torch.nn.Identity(), split, classes=2).tolist()
        [[1, 1], [0, 0]]
    """
    kind = split.label_kind
    if kind == "one a pixel":
        return confusion(model, split, classes=classes).long()
    if kind != "one an example":
        raise UsageError(f"confusion: is for classes of examples or pixels; this data has {kind}")
    logits, labels = predict_split(model, split)
    pairs = labels.cpu() * classes + logits.argmax(dim=1).cpu()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def per_class(table: Tensor) -> tuple[ClassFigures, ...]:
    """Return the figures of every class of a table of confusion.

    Example:
        >>> import torch
        >>> from growsearch.metrics import per_class
        >>> per_class(torch.tensor([[3, 1], [0, 4]]))[1]
        ClassFigures(count=4, precision=0.8, recall=1.0)
    """
    right, true = table.diagonal().tolist(), table.sum(dim=1).tolist()
    named = table.sum(dim=0).tolist()
    return tuple(
        ClassFigures(
            count=int(of_it),
            precision=hits / called if called else None,
            recall=hits / of_it if of_it else None,
        )
        for hits, of_it, called in zip(right, true, named, strict=True)
    )
