"""Targets that are no classes: numbers to predict, or several labels an example."""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.datasets.checking.arrays import Given
from growsearch.errors import UsageError

# Axes of targets: one number an example, or one a column.
_AXES = (1, 2)


def check_numbers(labels: Given) -> Tensor:
    """Return targets (N,) or (N, K) of a regression as float32.

    Raises:
        UsageError: for another shape, or values that are not finite.
    """
    y = labels.tensor
    if y.ndim not in _AXES or not y.numel():
        raise UsageError(
            f"dataset: labels are {labels}; a regression wants numbers (N,), or (N, K) for K of "
            "them an example"
        )
    found = y.float()
    if not bool(torch.isfinite(found).all()):
        raise UsageError("dataset: labels hold values that are not finite; remove those examples")
    return found


def check_several(labels: Given) -> Tensor:
    """Return labels (N, K) of 0 and 1, several an example, as truth values.

    Raises:
        UsageError: for another shape, one label alone, or other values.
    """
    y = labels.tensor
    if y.ndim != 2 or not y.numel() or y.shape[1] < 2:
        raise UsageError(
            f"dataset: labels are {labels}; multi-label wants (N, K), 1 where example n has label "
            "k and 0 elsewhere, of at least two labels"
        )
    if not bool(((y == 0) | (y == 1)).all()):
        raise UsageError(
            f"dataset: labels are {labels} with other values than 0 and 1; give 1 where an example "
            "has the label and 0 elsewhere"
        )
    return y.bool()


def check_own_targets(labels: Given) -> Tensor:
    """Return targets (N, ...) of an own task: numbers as float32, whole numbers as int64.

    Raises:
        UsageError: for values that are not finite, or none at all.
    """
    y = labels.tensor
    if not y.ndim or not y.numel():
        raise UsageError(f"dataset: labels are {labels}; give one or more for each example")
    if not y.is_floating_point():
        return y if y.dtype == torch.bool else y.long()
    found = y.float()
    if not bool(torch.isfinite(found).all()):
        raise UsageError("dataset: labels hold values that are not finite; remove those examples")
    return found


def check_spread(train: Tensor) -> None:
    """Refuse numbers (N, ...) that are the same everywhere: there is nothing to learn.

    Raises:
        UsageError: naming the column.
    """
    columns = train.flatten(1) if train.ndim > 1 else train[:, None]
    same = (columns == columns[0]).all(dim=0).nonzero().flatten().tolist()
    if same:
        where = f" of column {same[0]}" if columns.shape[1] > 1 else ""
        raise UsageError(
            f"dataset: all training labels{where} are {float(columns[0, same[0]]):g}, and one "
            "value can teach nothing; give numbers that differ"
        )


def check_positives(parts: dict[str, Tensor]) -> tuple[str, ...]:
    """Refuse splits without any label; say which labels (N, K) some split never has.

    Raises:
        UsageError: naming the split.
    """
    notes = []
    for name, labels in parts.items():
        missing = (~labels.any(dim=0)).nonzero().flatten().tolist()
        if len(missing) == labels.shape[1]:
            raise UsageError(f"dataset: no {name} example has any label; give some that have")
        if missing:
            some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            notes.append(
                f"{len(missing):,} labels have no {name} example ({some}), and do not count there"
            )
    return tuple(notes)
