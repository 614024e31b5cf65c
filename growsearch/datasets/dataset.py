"""Data set: tensors of three splits, with their shape and classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Change, View, augmented
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.datasets.report import NOTHING_TO_REPORT, DataReport

# What a pixel has whose class nobody has told; torch's loss passes over it.
UNLABELLED = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Inputs (N, ...) and integer labels: one an example, a word or a pixel.

    Inputs are float32, already normalised, with labels (N,), or images (N, C, H, W) with labels
    (N, H, W), some of which may be UNLABELLED; or words (N, T) int64 with those that follow them.
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
    there was to be said of the files (`summary_lines` puts it into words).
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    augmentation: Change = NO_AUGMENTATION
    normalisation: Normalisation = IDENTITY
    report: DataReport = NOTHING_TO_REPORT

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape, without the batch axis."""
        return tuple(self.train.inputs.shape[1:])

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
        return torch.zeros(batch, *self.input_shape, dtype=self.train.inputs.dtype)


class Loader(Protocol):
    """Reads one data set; ``data_dir`` is None for data that comes with a library."""

    def __call__(self, data_dir: Path | None) -> Dataset:
        """Return the data set."""
        ...
