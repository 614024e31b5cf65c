"""A data set for a stated task: its labels become what the task learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from growsearch.datasets.checking.arrays import Given
from growsearch.datasets.checking.targets import check_numbers, check_positives, check_several
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.streams.from_torch import known_labels
from growsearch.datasets.streams.streamed_split import StreamedSplit
from growsearch.datasets.task_choice import BALANCED, TaskChoice
from growsearch.errors import UsageError


def for_task(dataset: Dataset, task: TaskChoice) -> Dataset:
    """Return ``dataset`` for ``task``: classes (N,) are numbers to a regression.

    Streamed labels are looked at as far as they are known; no example is read.

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
        # What was stated when the data set was made stays, unless the study says otherwise; what
        # goes with classes alone is refused.
        dataclasses.replace(task, name=dataset.task.name)
        return dataset
    kind = dataset.train.label_kind
    if task.name == "regression":
        if kind == "one an example":
            dataset = _with_splits(dataset, _as_numbers, outputs=1)
        elif kind != "numbers":
            raise UsageError(f"task: {dataset.name} has labels {kind}; regression wants numbers")
    elif task.name == "multi-label":
        dataset = _for_several(dataset, kind)
    elif task.name is None and kind not in ("one an example", "one a word", "one a pixel"):
        _refuse_class_keys(dataset, task, kind)
    return dataclasses.replace(dataset, task=task)


def needs_labels(dataset: Dataset) -> bool:
    """Tell whether training needs all training labels before it starts: for a scale, or weights.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.datasets.tasks import needs_labels
        >>> needs_labels(from_tensors(torch.eye(40), torch.arange(40.0), task="regression"))
        True
    """
    task = dataset.task
    numbers = dataset.train.label_kind == "numbers" and not task.is_own
    return numbers or task.class_weights == BALANCED


def _for_several(dataset: Dataset, kind: str) -> Dataset:
    """Return ``dataset`` with several labels (N, K) an example."""
    streamed = dataset.train.streamed
    if kind == "one a word" and not streamed and dataset.train.labels.max() <= 1:
        dataset = _with_splits(dataset, _as_several, dataset.train.label_shape[0])
    elif kind != "several an example":
        raise UsageError(
            f"task: {dataset.name} has labels {kind}; multi-label wants (N, K) of 0 and 1"
            + (" (growsearch.from_torch(..., task='multi-label'))" if streamed else "")
        )
    known = known_labels((dataset.train, dataset.validation, dataset.test))
    known.pop("test", None)
    check_positives(known)
    return dataset


def _refuse_class_keys(dataset: Dataset, task: TaskChoice, kind: str) -> None:
    key = "loss" if task.class_weights is None else "class_weights"
    raise UsageError(f"{key}: goes with classes, and {dataset.name} has labels {kind}; remove it")


def _with_splits(dataset: Dataset, change: Callable[[Split], Split], outputs: int) -> Dataset:
    train, validation, test = map(change, (dataset.train, dataset.validation, dataset.test))
    return dataclasses.replace(
        dataset, num_classes=outputs, train=train, validation=validation, test=test
    )


def _as_numbers(split: Split) -> Split:
    if isinstance(split, StreamedSplit):
        return split.with_numbers()
    return Split(inputs=split.inputs, labels=check_numbers(_given(split.labels)))


def _as_several(split: Split) -> Split:
    return Split(inputs=split.inputs, labels=check_several(_given(split.labels)))


def _given(labels: Tensor) -> Given:
    return Given(tensor=labels, kind=str(labels.dtype).removeprefix("torch."))
