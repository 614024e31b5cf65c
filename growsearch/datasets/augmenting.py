"""Augmentation of a data set that a study names, where the data can have it."""

from __future__ import annotations

import dataclasses

from growsearch.datasets.augmentation import NO_AUGMENTATION, Change, mixes_targets, reads_pixels
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.normalisation import IDENTITY
from growsearch.errors import UsageError

_IMAGE_AXES = 3
# Labels that stay what they are when images are shifted or change colours.
_OF_WHOLE_IMAGES = ("one an example", "numbers", "several an example")


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
    if not dataset.task.is_own and dataset.train.label_kind not in _OF_WHOLE_IMAGES:
        raise UsageError(
            f"augmentation: {dataset.name} has more than one label an image, which would be left "
            f"behind; {remedy}"
        )
    if mixes_targets(augmentation) and not _can_be_mixed(dataset):
        raise UsageError(
            f"augmentation: {dataset.name} has labels that are not mixed, as mixup and cutmix do; "
            f"they are for one class an image, learned by cross-entropy; {remedy}"
        )
    if reads_pixels(augmentation) and dataset.normalisation == IDENTITY:
        raise UsageError(
            f"augmentation: {dataset.name} has inputs of unknown range, whose colours cannot be "
            "changed; give images as uint8, or as a Dataset with the normalisation that they have "
            "gone through"
        )


def _can_be_mixed(dataset: Dataset) -> bool:
    task = dataset.task
    classes = dataset.train.label_kind == "one an example" and not task.is_own
    return classes and task.loss == "cross-entropy"
