"""A data set for a stated task: its labels become what the task learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from growsearch.datasets.checking.arrays import Given
from growsearch.datasets.checking.targets import check_numbers, check_positives, check_several
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.task_choice import TaskChoice
from growsearch.errors import UsageError


def for_task(dataset: Dataset, task: TaskChoice) -> Dataset:
    """Return ``dataset`` for ``task``: classes (N,) are numbers to a regression.

    Raises:
        UsageError: for labels of which the task cannot make anything.

    Example:
        >>> import torch
        >>> from growsearch.datasets import TaskChoice, for_task, from_tensors
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> found = for_task(data, TaskChoice(name="regression"))
        >>> found.train.labels.dtype, found.num_classes
        (torch.float32, 1)
    """
    if task == dataset.task or (task.name is None and dataset.task.name is not None):
        # What was stated when the data set was made stays, unless the study says otherwise.
        return dataset
    kind = dataset.train.label_kind
    if dataset.train.streamed and task.name is not None and not task.is_own:
        raise UsageError(
            f"task: {dataset.name} is streamed, one class an example; for a {task.name} give "
            "tensors (growsearch.from_tensors), or fewer examples as a data set in memory"
        )
    if task.name == "regression":
        if kind == "one an example":
            dataset = _with_labels(dataset, _as_numbers, outputs=1)
        elif kind != "numbers":
            raise UsageError(f"task: {dataset.name} has labels {kind}; regression wants numbers")
    elif task.name == "multi-label":
        if kind == "one a word" and dataset.train.labels.max() <= 1:
            dataset = _with_labels(dataset, _as_several, dataset.train.labels.shape[1])
        elif kind != "several an example":
            raise UsageError(
                f"task: {dataset.name} has labels {kind}; multi-label wants (N, K) of 0 and 1"
            )
        check_positives({"training": dataset.train.labels, "validation": dataset.validation.labels})
    elif task.name is None and kind not in ("one an example", "one a word", "one a pixel"):
        _refuse_class_keys(dataset, task, kind)
    return dataclasses.replace(dataset, task=task)


def _refuse_class_keys(dataset: Dataset, task: TaskChoice, kind: str) -> None:
    key = "loss" if task.class_weights is None else "class_weights"
    raise UsageError(f"{key}: goes with classes, and {dataset.name} has labels {kind}; remove it")


def _with_labels(dataset: Dataset, change: Callable[[Tensor], Tensor], outputs: int) -> Dataset:
    train, validation, test = (
        Split(inputs=split.inputs, labels=change(split.labels))
        for split in (dataset.train, dataset.validation, dataset.test)
    )
    return dataclasses.replace(
        dataset, num_classes=outputs, train=train, validation=validation, test=test
    )


def _as_numbers(labels: Tensor) -> Tensor:
    return check_numbers(_given(labels))


def _as_several(labels: Tensor) -> Tensor:
    return check_several(_given(labels))


def _given(labels: Tensor) -> Given:
    return Given(tensor=labels, kind=str(labels.dtype).removeprefix("torch."))
