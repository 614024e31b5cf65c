"""Choice of a task for a data set, by the shape of its labels."""

from __future__ import annotations

from growsearch.datasets.dataset import Dataset
from growsearch.errors import UsageError
from growsearch.training.tasks.classification import Classification
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.next_words import NextWords
from growsearch.training.tasks.segmentation import Segmentation

# By the number of axes that labels have.
_TASKS: dict[int, type[Examples]] = {1: Classification, 2: NextWords, 3: Segmentation}


def task_of(dataset: Dataset) -> Examples:
    """Return the task of labels (N,), one a word (N, T), or one a pixel (N, H, W).

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
    axes = 1 + len(dataset.train.label_shape)
    if axes not in _TASKS:
        raise UsageError(
            f"{dataset.name}: labels of shape {tuple(dataset.train.labels.shape)}; give one an "
            "example (N,), a word (N, T) or a pixel (N, H, W)"
        )
    return _TASKS[axes](dataset)
