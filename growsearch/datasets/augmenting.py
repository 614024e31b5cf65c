"""Augmentation of a data set that a study names, where the data can have it."""

from __future__ import annotations

import dataclasses

from growsearch.datasets.augmentation import NO_AUGMENTATION, Change, reads_pixels
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.normalisation import IDENTITY
from growsearch.errors import UsageError

_IMAGE_AXES = 3


def with_augmentation(dataset: Dataset, augmentation: Change) -> Dataset:
    """Return the data with another augmentation than its own.

    Raises:
        UsageError: for data that are no images with one label each, or colours of unknown range.
    """
    if augmentation != NO_AUGMENTATION:
        _check(dataset, augmentation)
    return dataclasses.replace(dataset, augmentation=augmentation)


def _check(dataset: Dataset, augmentation: Change) -> None:
    shape, remedy = dataset.input_shape, "remove the key, or write augmentation: none"
    if len(shape) != _IMAGE_AXES:
        raise UsageError(
            f"augmentation: {dataset.name} has inputs of {shape}, and images alone (channels, "
            f"height, width) are changed; {remedy}"
        )
    if dataset.train.label_shape:
        raise UsageError(
            f"augmentation: {dataset.name} has more than one label an image, which would be left "
            f"behind; {remedy}"
        )
    if reads_pixels(augmentation) and dataset.normalisation == IDENTITY:
        raise UsageError(
            f"augmentation: {dataset.name} has inputs of unknown range, whose colours cannot be "
            "changed; give images as uint8, or as a Dataset with the normalisation that they have "
            "gone through"
        )
