"""Consistency of a data set that somebody else put together: do its parts fit each other?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from growsearch.datasets.checking.class_names import check_class_names
from growsearch.datasets.checking.labels import MAX_CLASSES
from growsearch.datasets.dataset import UNLABELLED, Dataset, Split
from growsearch.errors import UsageError

_IMAGE_AXES = 4
_LONGEST_SHIFT = 1024


def check_dataset(dataset: Dataset, place: str) -> None:
    """Refuse what training would stumble over, or silently do something else with.

    Raises:
        UsageError: beginning with ``place``, naming the part and what it has to be.
    """
    try:
        _check(dataset)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error
    except Exception as error:
        raise UsageError(
            f"{place}: a data set whose parts do not fit ({error or type(error).__name__}); "
            "make it with growsearch.from_tensors"
        ) from error


def _check(dataset: Dataset) -> None:
    classes = dataset.num_classes
    fewest = 2 if _are_classes(dataset) else 1
    if type(classes) is not int or not fewest <= classes <= MAX_CLASSES:
        raise UsageError(
            f"num_classes is {classes!r}; give a whole number from {fewest} to {MAX_CLASSES:,}"
        )
    check_class_names(dataset.report.class_names or None, classes)
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    for key, split in parts.items():
        # Streamed examples are checked as they are read.
        if not split.streamed:
            _check_split(key, split, dataset, classes)
        else:
            _check_streamed(key, split, dataset)
    _check_changes(dataset)


def _check_streamed(key: str, split: Split, dataset: Dataset) -> None:
    train = dataset.train
    if not len(split) or split.input_shape != dataset.input_shape:
        raise UsageError(f"{key} is empty or has inputs of another shape than train; give all one")
    if (split.label_shape, split.label_type) != (train.label_shape, train.label_type):
        raise UsageError(
            f"{key} has labels {split.label_type} {split.label_shape} an example; give all as "
            "train has them"
        )
    if not _are_classes(dataset):
        _check_outputs(key, split, dataset)


def _are_classes(dataset: Dataset) -> bool:
    """Tell whether labels have to be classes: an own task may make of them what it likes."""
    if dataset.task.is_own:
        return False
    if dataset.train.streamed:
        kind = dataset.train.label_type
        return not (kind.is_floating_point or kind == torch.bool)
    y = dataset.train.labels
    return isinstance(y, Tensor) and not (y.is_floating_point() or y.dtype == torch.bool)


def _check_split(key: str, split: Split, dataset: Dataset, classes: int) -> None:
    x, y, train = split.inputs, split.labels, dataset.train
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise UsageError(f"{key} holds no tensors; give torch tensors")
    if x.ndim < 2 or not len(x) == len(y) > 0 or not x.numel():
        raise UsageError(f"{key} has inputs {tuple(x.shape)} and labels {tuple(y.shape)}; one each")
    if x.shape[1:] != train.inputs.shape[1:] or x.dtype != train.inputs.dtype:
        raise UsageError(f"{key} has inputs of another shape or type than train; give all one")
    if y.ndim != train.labels.ndim or y.dtype != train.labels.dtype:
        raise UsageError(f"{key} has labels {y.dtype} {tuple(y.shape)}; give all as train has them")
    _check_inputs(key, x, classes)
    if not _are_classes(dataset):
        _check_targets(key, split, dataset)
        return
    if y.dtype != torch.int64:
        raise UsageError(f"{key} has labels {y.dtype} {tuple(y.shape)}; give int64, as train has")
    _check_labels(key, x, y, classes)


def _check_targets(key: str, split: Split, dataset: Dataset) -> None:
    """Refuse numbers or several labels that do not fit a network's outputs, or each other."""
    y = split.labels
    if y.is_floating_point() and not bool(torch.isfinite(y).all()):
        raise UsageError(f"{key} has labels that are not finite; remove those examples")
    if y.shape[1:] != dataset.train.labels.shape[1:]:
        raise UsageError(f"{key} has labels {tuple(y.shape)}; give one shape, as train has")
    _check_outputs(key, split, dataset)


def _check_outputs(key: str, split: Split, dataset: Dataset) -> None:
    """Refuse targets of a type or number that no network's outputs can be."""
    if dataset.task.is_own:
        return
    shape, kind = split.label_shape, split.label_type
    if split.label_kind == "of another kind" or (kind.is_floating_point and kind != torch.float32):
        raise UsageError(
            f"{key} has labels {kind} {(len(split), *shape)}; give float32 (N,) or (N, K) to "
            "predict numbers, bool (N, K) for several labels an example"
        )
    wanted = math.prod(shape)
    if dataset.num_classes != wanted:
        raise UsageError(
            f"num_classes is {dataset.num_classes}, and {key} has {wanted} targets of {kind} an "
            f"example; for classes give int64 labels, for these num_classes {wanted}"
        )


def _check_inputs(key: str, x: Tensor, classes: int) -> None:
    if x.is_floating_point():
        if not bool(torch.isfinite(x).all()):
            raise UsageError(f"{key} has inputs that are not finite; remove or fill them")
        return
    if x.dtype != torch.int64:
        raise UsageError(f"{key} has inputs of {x.dtype}; give float32, or words as int64")
    if not 0 <= int(x.min()) <= int(x.max()) < classes:
        raise UsageError(f"{key} has words that are not from 0 to {classes - 1}; number them anew")


def _check_labels(key: str, x: Tensor, y: Tensor, classes: int) -> None:
    fits = {1: True, 2: x.shape == y.shape, 3: x.ndim == _IMAGE_AXES and x.shape[2:] == y.shape[1:]}
    if not fits.get(y.ndim, False):
        raise UsageError(
            f"{key} has labels {tuple(y.shape)} for inputs {tuple(x.shape)}; give one an example, "
            "a word or a pixel"
        )
    told = y[y != UNLABELLED] if y.ndim == 3 else y
    if not told.numel() or not 0 <= int(told.min()) <= int(told.max()) < classes:
        raise UsageError(f"{key} has labels that are not from 0 to {classes - 1}; number them anew")


def _check_changes(dataset: Dataset) -> None:
    scale, shift = dataset.normalisation, dataset.augmentation
    channels = dataset.input_shape[0]
    if len(scale.mean) not in (1, channels) or len(scale.deviation) != len(scale.mean):
        raise UsageError(f"the normalisation is not of {channels} channels; give one value each")
    if not all(map(math.isfinite, (*scale.mean, *scale.deviation))) or min(scale.deviation) <= 0:
        raise UsageError("the normalisation has a deviation that is not above 0, or no number")
    pixels = getattr(shift, "shift_pixels", 0)
    if type(pixels) is not int or not 0 <= pixels <= _LONGEST_SHIFT:
        raise UsageError(
            f"the augmentation shifts by {pixels!r} pixels; give 0 to {_LONGEST_SHIFT}"
        )
