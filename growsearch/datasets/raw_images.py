"""Official training and test images, made into the three splits of a data set."""

from __future__ import annotations

import torch

from growsearch.datasets.augmentation import Change
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.report import NOTHING_TO_REPORT, DataReport
from growsearch.datasets.stratified import check_classes_left, stratified_choice
from growsearch.errors import UsageError

_SPLIT_SEED = 0
_HELD_OUT_ONE_IN = 10


def split_of(raw: RawImages, normalisation: Normalisation) -> Split:
    """Return normalised float32 inputs with their labels."""
    return Split(inputs=normalisation.apply(raw.images), labels=raw.labels)


def make_dataset(
    name: str,
    official_train: RawImages,
    official_test: RawImages,
    *,
    num_classes: int,
    augmentation: Change,
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
        train=split_of(train, normalisation),
        validation=split_of(official_train.at(held_out), normalisation),
        test=split_of(official_test, normalisation),
        num_classes=num_classes,
        augmentation=augmentation,
        normalisation=normalisation,
        report=report,
    )


def check_counts(name: str, train: int, test: int, part: str = "test") -> None:
    """Refuse fewer than 10 training images, or no images of another ``part``.

    Raises:
        UsageError: naming both counts.
    """
    if train < _HELD_OUT_ONE_IN or test < 1:
        raise UsageError(
            f"{name}: {train} training and {test} {part} images are too few; at least "
            f"{_HELD_OUT_ONE_IN} and 1 are needed"
        )
