"""What does a data set hold? Tensors of three splits, with their shape and classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Augmentation
from growsearch.datasets.normalisation import IDENTITY, Normalisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Inputs (N, ...) float32, already normalised, and integer labels (N,)."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Three disjoint splits: train on one, search on the second, report the third.

    ``augmentation`` is applied to every training batch, and to nothing else. ``normalisation`` is
    the one that the inputs have gone through, for images from elsewhere.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    augmentation: Augmentation = NO_AUGMENTATION
    normalisation: Normalisation = IDENTITY

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape, without the batch axis."""
        return tuple(self.train.inputs.shape[1:])


class Loader(Protocol):
    """Reads one data set; ``data_dir`` is None for data that comes with a library."""

    def __call__(self, data_dir: Path | None) -> Dataset:
        """Return the data set."""
        ...
