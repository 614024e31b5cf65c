"""Labels that a person gives: whole numbers from 0 on, each of which occurs."""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.datasets.checking.arrays import Given
from growsearch.datasets.dataset import UNLABELLED
from growsearch.errors import UsageError

# More than any data set has, and few enough for one output a class.
MAX_CLASSES = 1_000_000
_NAMED = 5
# What masks write for pixels without a class, as Pascal VOC does.
_VOID = 255
_HOW_VOID = f"; if {_VOID} means no class, write {UNLABELLED} for it first"
_RULE = "give whole numbers of shape (N,), one a pixel (N, H, W) or one a word (N, T)"
_RENUMBER = "number them from 0 on: numpy.unique(labels, return_inverse=True)[1]"


def check_labels(labels: Given, inputs: Given) -> Tensor:
    """Return labels as int64, if they are classes.

    Raises:
        UsageError: for other types and shapes, with what would make them classes.
    """
    y = labels.tensor
    if y.is_floating_point() or y.dtype == torch.bool:
        raise UsageError(f"dataset: labels are {labels}; {_RULE}{_of_type(y)}")
    if not len(inputs.tensor if inputs.tensor.ndim else y.reshape(-1)):
        raise UsageError("dataset: there are no examples: inputs and labels are empty; give some")
    if y.ndim not in (1, 2, 3) or y.numel() == 0:
        raise UsageError(f"dataset: labels are {labels}; {_RULE}")
    if y.ndim == 2 and y.shape != inputs.tensor.shape:
        hint = _of_columns(y)
        if hint:
            raise UsageError(f"dataset: labels are {labels}; {_RULE}{hint}")
    return y.long()


def _of_type(y: Tensor) -> str:
    if y.dtype == torch.bool or bool((y == y.round()).all()):
        one_hot = " (one-hot rows: labels.argmax(1))" if y.ndim == 2 else ""
        several = "; several labels an example: task='multi-label'" if y.ndim == 2 else ""
        return f": labels.astype('int64'){one_hot}{several}"
    if not bool(torch.isfinite(y).all()):
        return "; some are not finite (NaN): remove these examples, or give them a class"
    return (
        "; numbers with a fraction are no classes: to predict them, state task='regression' "
        "(task: regression in a study)"
    )


def _of_columns(y: Tensor) -> str:
    if y.shape[1] == 1:
        return ": labels[:, 0]"
    one_each = bool((((y == 0) | (y == 1)).all(dim=1) & (y.sum(dim=1) == 1)).all())
    return ", which one-hot rows become by labels.argmax(1)" if one_each else ""


def classes_of(train: Tensor, test: Tensor, num_classes: int | None) -> tuple[int, tuple[str, ...]]:
    """Return how many classes labels (N,) or (N, H, W) have, and what to know of their numbers.

    Args:
        train: labels, some of which may be UNLABELLED.
        test: labels that are only judged.
        num_classes: as it was stated; then some numbers below it may never occur.

    Raises:
        UsageError: for one class, numbers that do not occur and are not stated to exist, or a class
            that is in ``test`` alone.
    """
    largest = max(int(train.max()), int(test.max()))
    check_num_classes(num_classes, largest)
    found, in_test = (_occurring(labels, largest + 1) for labels in (train, test))
    occurring = found.nonzero().flatten().tolist()
    if len(occurring) == 1:
        raise UsageError(
            f"dataset: all labels are {occurring[0]}, and one class can teach nothing; give two"
        )
    strange = (in_test & ~found).nonzero().flatten().tolist()
    if strange:
        raise UsageError(
            f"dataset: label {strange[0]} is in the test labels alone; train on it too"
        )
    missing = (~found).nonzero().flatten().tolist()
    if num_classes is None:
        if missing:
            void = largest == _VOID and train.ndim > 1
            raise _gap(occurring, largest, _HOW_VOID if void else "")
        return largest + 1, ()
    missing += range(largest + 1, num_classes)
    if not missing:
        return num_classes, ()
    return num_classes, (f"{len(missing):,} classes have no example: {_some(missing)}",)


def check_num_classes(num_classes: object, largest: int) -> None:
    """Refuse a number of classes that is none, or that does not cover the ``largest`` label.

    Raises:
        UsageError: naming both.
    """
    if num_classes is None:
        if largest >= MAX_CLASSES:
            raise UsageError(
                f"dataset: label {largest} would make {largest + 1} classes, and at most "
                f"{MAX_CLASSES:,} are taken; {_RENUMBER}"
            )
        return
    if type(num_classes) is not int or not 2 <= num_classes <= MAX_CLASSES:
        raise UsageError(
            f"dataset: num_classes = {num_classes!r}; give a whole number from 2 to {MAX_CLASSES:,}"
        )
    if largest >= num_classes:
        raise UsageError(f"dataset: label {largest} is not below num_classes = {num_classes}")


def _occurring(labels: Tensor, classes: int) -> Tensor:
    """Return (classes,) bool: does a class occur?"""
    return torch.bincount(labels[labels != UNLABELLED].flatten(), minlength=classes) > 0


def _gap(occurring: list[int], largest: int, hint: str) -> UsageError:
    return UsageError(
        f"dataset: {len(occurring):,} labels occur ({_some(occurring)}), which would make "
        f"{largest + 1:,} classes; {_RENUMBER}, or state num_classes={largest + 1} if the others "
        f"exist{hint}"
    )


def _some(numbers: list[int]) -> str:
    more = ", ..." if len(numbers) > _NAMED else ""
    return ", ".join(f"{number}" for number in numbers[:_NAMED]) + more
