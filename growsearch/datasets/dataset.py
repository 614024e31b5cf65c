"""Data set: tensors of three splits, with their shape and classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Change, View, augmented
from growsearch.datasets.keys import DataKeys
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
    may have several. `growsearch.datasets.streams` has splits without inputs in memory: what goes
    through a split in batches, or takes some of its examples, works with both.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def streamed(self) -> bool:
        """Are inputs read batch by batch, and never there all at once?"""
        return False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape, without the batch axis."""
        return tuple(self.inputs.shape[1:])

    @property
    def input_type(self) -> torch.dtype:
        """float32, or int64 of words."""
        return self.inputs.dtype

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of one example's labels: () of one class, (T,) or (H, W) of several."""
        return tuple(self.labels.shape[1:])

    @property
    def label_type(self) -> torch.dtype:
        """int64 of classes, float32 of numbers, bool of several labels."""
        return self.labels.dtype

    @property
    def label_kind(self) -> LabelKind:
        """What its labels are, see `labels_are`."""
        return labels_are(self.labels)

    @property
    def labels_are_known(self) -> bool:
        """Are the labels there without reading all examples?"""
        return True

    def at(self, places: Tensor) -> Split:
        """Return the examples at ``places`` (n,) in memory, in this order."""
        return Split(inputs=self.inputs[places], labels=self.labels[places])

    def take(self, places: Tensor) -> Split:
        """Return a part, in memory or streamed as the whole is."""
        return self.at(places)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (size, ...) and labels (size, ...); the last batch may be smaller.

        Args:
            size: examples of a batch.
            order: places (n,); None is all of them as they lie.
        """
        if order is None:
            yield from zip(
                torch.split(self.inputs, size), torch.split(self.labels, size), strict=True
            )
            return
        for places in torch.split(order, size):
            yield self.inputs[places], self.labels[places]


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
    augmentation: Change = NO_AUGMENTATION
    normalisation: Normalisation = IDENTITY
    report: DataReport = NOTHING_TO_REPORT
    task: TaskChoice = BY_LABELS

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape, without the batch axis."""
        return self.train.input_shape

    def split(self, name: Literal["train", "validation", "test"]) -> Split:
        """Return a split by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def augmented(
        self, inputs: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return a changed batch of training inputs (N, C, H, W) and labels (N,).

        Where images are mixed the labels become targets (N, classes) that are probabilities.
        """
        view = View(normalisation=self.normalisation, classes=self.num_classes)
        return augmented(self.augmentation, (inputs, labels), generator, view)

    def zeros(self, batch: int) -> Tensor:
        """Return zeros (batch, *input_shape) of the inputs' type: a network can be called on it."""
        return torch.zeros(batch, *self.input_shape, dtype=self.train.input_type)


class LoaderWithKeys(Protocol):
    """Reads one data set as a study's data section says."""

    def __call__(self, data_dir: Path | None, keys: DataKeys) -> Dataset:
        """Return the data set."""
        ...


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
