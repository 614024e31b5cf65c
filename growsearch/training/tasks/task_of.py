"""Choice of a task for a data set, by the shape of its labels."""

from __future__ import annotations

from growsearch.datasets.dataset import Dataset, LabelKind
from growsearch.errors import UsageError
from growsearch.training.tasks.classification import Classification
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.multi_label import MultiLabel
from growsearch.training.tasks.next_words import NextWords
from growsearch.training.tasks.own_task import OwnTask
from growsearch.training.tasks.regression import Regression
from growsearch.training.tasks.segmentation import Segmentation

_TASKS: dict[LabelKind, type[Examples]] = {
    "one an example": Classification,
    "one a word": NextWords,
    "one a pixel": Segmentation,
    "numbers": Regression,
    "several an example": MultiLabel,
}


def task_of(dataset: Dataset) -> Examples:
    """Return the task of classes, one an example (N,), a word (N, T) or a pixel (N, H, W).

    A data set whose task is own code has that one. Labels of float32 are numbers of a regression,
    and of bool (N, K) several an example.

    Raises:
        UsageError: for labels of another shape.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import task_of
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> type(task_of(data)).__name__
        'Classification'
    """
    if dataset.task.is_own:
        return OwnTask(dataset)
    kind = dataset.train.label_kind
    if kind not in _TASKS:
        shape = (len(dataset.train), *dataset.train.label_shape)
        raise UsageError(
            f"{dataset.name}: labels of shape {shape}; give one an "
            "example (N,), a word (N, T) or a pixel (N, H, W), numbers (N, K), or name an own task"
        )
    return _TASKS[kind](dataset)
