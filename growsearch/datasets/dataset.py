"""Data set: tensors of three splits, with their shape and classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Augmentation
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.datasets.report import NOTHING_TO_REPORT, DataReport
from growsearch.datasets.task_choice import BY_LABELS, TaskChoice

# What a pixel has whose class nobody has told; torch's loss passes over it.
UNLABELLED = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Inputs (N, ...) and their labels, whose type and shape say what they are; see `labels_are`.

    Inputs are float32, already normalised, with int64 labels (N,), or images (N, C, H, W) with
    labels (N, H, W), some of which may be UNLABELLED; or words (N, T) int64 with those that follow
    them. Labels of float32, (N,) or (N, K), are numbers to predict; of bool, (N, K), each example
    may have several.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Three disjoint splits: train on one, search on the second, report the third.

    ``augmentation`` is applied to every training batch, and to nothing else. ``normalisation`` is
    the one that the inputs have gone through, for images from elsewhere. ``report`` says what else
    there was to be said of the files (`summary_lines` puts it into words). ``num_classes`` are the
    outputs of a network for one example, word or pixel: classes, numbers or labels. ``task`` is
    what a study says of it.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    augmentation: Augmentation = NO_AUGMENTATION
    normalisation: Normalisation = IDENTITY
    report: DataReport = NOTHING_TO_REPORT
    task: TaskChoice = BY_LABELS

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape, without the batch axis."""
        return tuple(self.train.inputs.shape[1:])

    def split(self, name: Literal["train", "validation", "test"]) -> Split:
        """Return a split by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def zeros(self, batch: int) -> Tensor:
        """Return zeros (batch, *input_shape) of the inputs' type: a network can be called on it."""
        return torch.zeros(batch, *self.input_shape, dtype=self.train.inputs.dtype)


LabelKind = Literal[
    "one an example",
    "one a word",
    "one a pixel",
    "numbers",
    "several an example",
    "of another kind",
]
_CLASSES: dict[int, LabelKind] = {1: "one an example", 2: "one a word", 3: "one a pixel"}


def labels_are(labels: Tensor) -> LabelKind:
    """Return what labels are, by their type and number of axes.

    Example:
        >>> import torch
        >>> from growsearch.datasets import labels_are
        >>> labels_are(torch.zeros(8, dtype=torch.int64)), labels_are(torch.zeros(8))
        ('one an example', 'numbers')
    """
    if labels.is_floating_point():
        return "numbers" if labels.ndim in (1, 2) else "of another kind"
    if labels.dtype == torch.bool:
        return "several an example" if labels.ndim == 2 else "of another kind"
    return _CLASSES.get(labels.ndim, "of another kind")


class Loader(Protocol):
    """Reads one data set; ``data_dir`` is None for data that comes with a library."""

    def __call__(self, data_dir: Path | None) -> Dataset:
        """Return the data set."""
        ...
