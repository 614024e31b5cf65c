"""Own data as tensors: inputs and labels become the three splits of a data set."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Augmentation
from growsearch.datasets.dataset import UNLABELLED, Dataset, Split
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.datasets.stratified import stratified_choice
from growsearch.errors import UsageError

_HELD_OUT_ONE_IN = 10
_SPLIT_SEED = 0
_HASH_DIGITS = 12
_LEAST = 30
Arrays = Tensor | np.ndarray


def from_tensors(
    inputs: Arrays,
    labels: Arrays,
    *,
    test: tuple[Arrays, Arrays] | None = None,
    num_classes: int | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    name: str = "own",
) -> Dataset:
    """Return a data set of your own inputs and labels.

    A tenth is held out for validation, and a tenth for the test where ``test`` is None: stratified,
    always the same. Inputs of type uint8 (N, C, H, W) are normalised with the statistics of the
    training images; others are taken as they are.

    Args:
        inputs: (N, ...) float or uint8; words (N, T) are whole numbers.
        labels: whole numbers from 0 on: (N,), one a pixel (N, H, W) of images (N, C, H, W), where
            UNLABELLED (-100) is a pixel without a class, or one a word (N, T).
        test: inputs and labels to report on, of the same shape and type.
        num_classes: default: the largest label and one.
        augmentation: applied to training batches of images.
        name: for reports.

    Raises:
        UsageError: for shapes, types or labels that do not fit, or fewer than 30 examples.
    """
    found = _checked(inputs, labels, "inputs")
    if len(found[1]) < _LEAST:
        raise UsageError(f"dataset: {len(found[1])} examples are too few; at least {_LEAST}")
    rest, held_test = _held_out(found) if test is None else (found, _checked(*test, "test"))
    if held_test[0].shape[1:] != found[0].shape[1:] or held_test[0].dtype != found[0].dtype:
        raise UsageError(
            f"dataset: test inputs are {_shape(held_test[0])}, training inputs {_shape(found[0])}; "
            "give both one shape and type"
        )
    train, validation = _held_out(rest)
    largest = int(max(_largest(*part) for part in (train, validation, held_test)))
    if num_classes is not None and largest >= num_classes:
        raise UsageError(f"dataset: label {largest} is not below num_classes = {num_classes}")
    normalisation = IDENTITY
    if train[0].dtype == torch.uint8:
        normalisation = Normalisation.of(train[0])
    train, validation, held_test = (
        (_as_inputs(x, normalisation), y) for x, y in (train, validation, held_test)
    )
    return Dataset(
        name=name,
        train=Split(inputs=train[0], labels=train[1]),
        validation=Split(inputs=validation[0], labels=validation[1]),
        test=Split(inputs=held_test[0], labels=held_test[1]),
        num_classes=num_classes or largest + 1,
        augmentation=augmentation,
        normalisation=normalisation,
    )


def _largest(x: Tensor, y: Tensor) -> int:
    """Return the largest class; a word that is read is one, also where it never follows."""
    return int(y.max() if y.ndim != 2 else max(x.max(), y.max()))


def _as_inputs(x: Tensor, normalisation: Normalisation) -> Tensor:
    if x.dtype == torch.uint8:
        return normalisation.apply(x)
    return x.float() if x.is_floating_point() else x.long()


def content_hash(dataset: Dataset) -> str:
    """Return 12 hexadecimal digits of all that a trial sees: inputs, labels, classes, changes."""
    digest = hashlib.sha256(f"{dataset.num_classes} {dataset.augmentation}".encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        for tensor in (split.inputs, split.labels):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:_HASH_DIGITS]


def _checked(inputs: Arrays, labels: Arrays, key: str) -> tuple[Tensor, Tensor]:
    x, y = torch.as_tensor(inputs), torch.as_tensor(labels)
    if y.is_floating_point() or y.dtype == torch.bool or not len(y) or y.ndim not in (1, 2, 3):
        raise UsageError(
            f"dataset: labels are {_shape(y)}; give whole numbers of shape (N,), one a pixel "
            "(N, H, W) or one a word (N, T)"
        )
    if x.ndim < 2 or len(x) != len(y):
        raise UsageError(f"dataset: {key} are {_shape(x)} for {len(y)} labels; give one each")
    if x.dtype == torch.uint8 and x.ndim != 4:
        raise UsageError(f"dataset: {key} of type uint8 are images (N, C, H, W), not {_shape(x)}")
    _check_kind(x, y, key)
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise UsageError(f"dataset: {key} hold values that are not finite; remove or fill them")
    told = y[y != UNLABELLED] if y.ndim == 3 else y
    if int(told.min()) < 0:
        raise UsageError(f"dataset: label {int(told.min())} is below 0; classes count from 0")
    return x.detach().cpu(), y.detach().cpu().long()


def _check_kind(x: Tensor, y: Tensor, key: str) -> None:
    """Refuse inputs that are not of the kind that the labels' shape stands for."""
    if y.ndim == 3 and not bool((y != UNLABELLED).flatten(1).any(dim=1).all()):
        raise UsageError(f"dataset: some {key} have no pixel with a class; leave them out")
    if y.ndim == 2:
        if x.is_floating_point() or x.dtype in (torch.bool, torch.uint8) or x.shape != y.shape:
            raise UsageError(
                f"dataset: {key} are {_shape(x)} for labels {_shape(y)}, one a word; give whole "
                "numbers of the same shape"
            )
        if int(x.min()) < 0:
            raise UsageError(f"dataset: word {int(x.min())} is below 0; words count from 0")
        return
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise UsageError(f"dataset: {key} are {_shape(x)}; give float32, or uint8 images")
    if y.ndim == 3 and (x.ndim != 4 or x.shape[2:] != y.shape[1:]):
        raise UsageError(
            f"dataset: {key} are {_shape(x)} for labels {_shape(y)}, one a pixel; give images "
            "(N, C, H, W) of that height and width"
        )


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


_Pair = tuple[Tensor, Tensor]


def _held_out(pair: _Pair) -> tuple[_Pair, _Pair]:
    """Return what is left, and a tenth."""
    x, y = pair
    chosen = stratified_choice(y, max(1, len(y) // _HELD_OUT_ONE_IN), seed=_SPLIT_SEED)
    kept = torch.ones(len(y), dtype=torch.bool)
    kept[chosen] = False
    return (x[kept], y[kept]), (x[chosen], y[chosen])
