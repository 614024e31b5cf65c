"""Official training and test images, made into the three splits of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.datasets.augmentation import Augmentation
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.report import NOTHING_TO_REPORT, DataReport
from growsearch.datasets.stratified import check_classes_left, stratified_choice
from growsearch.errors import UsageError

_SPLIT_SEED = 0
_HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImages:
    """Images (N, C, H, W) uint8 as they are in the files, and their labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, normalisation: Normalisation) -> Split:
        """Return normalised float32 inputs with their labels."""
        return Split(inputs=normalisation.apply(self.images), labels=self.labels)

    def at(self, indices: Tensor) -> RawImages:
        """Return the images at ``indices``."""
        return RawImages(images=self.images[indices], labels=self.labels[indices])


def make_dataset(
    name: str,
    official_train: RawImages,
    official_test: RawImages,
    *,
    num_classes: int,
    augmentation: Augmentation,
    report: DataReport = NOTHING_TO_REPORT,
) -> Dataset:
    """Hold out a tenth of the official training images, stratified and always the same.

    Channels are normalised with the statistics of the training images that are left.

    Raises:
        UsageError: if there are fewer than 10 training images, or no test images, or if the only
            training image of a class is held out.
    """
    check_counts(name, len(official_train), len(official_test))
    count = len(official_train) // _HELD_OUT_ONE_IN
    held_out = stratified_choice(official_train.labels, count, seed=_SPLIT_SEED)
    kept = torch.ones(len(official_train), dtype=torch.bool)
    kept[held_out] = False
    train = official_train.at(kept.nonzero().squeeze(1))
    check_classes_left(name, train.labels, official_train.labels)
    normalisation = Normalisation.of(train.images)
    return Dataset(
        name=name,
        train=train.split(normalisation),
        validation=official_train.at(held_out).split(normalisation),
        test=official_test.split(normalisation),
        num_classes=num_classes,
        augmentation=augmentation,
        normalisation=normalisation,
        report=report,
    )


def check_counts(name: str, train: int, test: int) -> None:
    """Refuse fewer than 10 training images, or no test images.

    Raises:
        UsageError: naming both counts.
    """
    if train < _HELD_OUT_ONE_IN or test < 1:
        raise UsageError(
            f"{name}: {train} training and {test} test images are too few; at least "
            f"{_HELD_OUT_ONE_IN} and 1 are needed"
        )
