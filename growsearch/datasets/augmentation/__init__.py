"""Augmentation: how a training image may change from epoch to epoch, one family a file."""

from growsearch.datasets.augmentation.chain import (
    Chain,
    Change,
    View,
    augmented,
    mixes_targets,
    reads_pixels,
)
from growsearch.datasets.augmentation.registry import (
    AUGMENTATIONS,
    augmentation_to_plain,
    augmentation_values,
    parse_augmentation,
)
from growsearch.datasets.augmentation.shift_mirror import (
    NO_AUGMENTATION,
    SHIFT_MIRROR,
    Augmentation,
)

__all__ = [
    "AUGMENTATIONS",
    "NO_AUGMENTATION",
    "SHIFT_MIRROR",
    "Augmentation",
    "Chain",
    "Change",
    "View",
    "augmentation_to_plain",
    "augmentation_values",
    "augmented",
    "mixes_targets",
    "parse_augmentation",
    "reads_pixels",
]
