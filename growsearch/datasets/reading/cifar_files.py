"""CIFAR files in both published layouts (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from growsearch.datasets.reading.array_pickle import load_array_pickle
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.reading.regular_file import read_regular
from growsearch.errors import UsageError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_AGAIN = "unpack the official archive again"

_Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def read_records(
    paths: Sequence[Path], *, label_bytes: int, num_classes: int, official_records: int
) -> RawImages:
    """Read the binary layout: label bytes, the last of which counts, then 3,072 pixels a record.

    Args:
        paths: files of one split, in order.
        label_bytes: 1 for CIFAR-10, 2 (coarse, fine) for CIFAR-100.
        num_classes: labels are below it.
        official_records: of one official file, for the message about a damaged one.

    Raises:
        UsageError: for an empty or cut file, or a label that is too large.
    """
    parts = [_records(path, label_bytes + _PIXELS, official_records) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        _check_labels(path, part[:, label_bytes - 1], num_classes)
    whole = np.concatenate(parts)
    return _raw(whole[:, label_bytes:], whole[:, label_bytes - 1])


def _records(path: Path, size: int, official_records: int) -> _Bytes:
    with reading(path, "cannot be read", _AGAIN):
        content = np.frombuffer(read_regular(path), dtype=np.uint8)
    if len(content) == 0 or len(content) % size:
        raise UsageError(
            f"{shown(path)}: {len(content):,} bytes, which is no whole number of records of "
            f"{size:,}; the official file has {size * official_records:,}. Unpack the official "
            "archive again"
        )
    return content.reshape(-1, size)


def read_batches(paths: Sequence[Path], *, label_key: str, num_classes: int) -> RawImages:
    """Read the Python layout: pickled dictionaries with "data" (N, 3072) and a list of labels.

    Raises:
        UsageError: for a damaged file, one that asks for more than arrays, or wrong contents.
    """
    parts = [_batch(path, label_key) for path in paths]
    for path, (_, labels) in zip(paths, parts, strict=True):
        _check_labels(path, labels, num_classes)
    return _raw(
        np.concatenate([pixels for pixels, _ in parts]),
        np.concatenate([labels for _, labels in parts]),
    )


def _batch(path: Path, label_key: str) -> tuple[_Bytes, np.ndarray[Any, np.dtype[np.int64]]]:
    batch = load_array_pickle(path)
    pixels, labels = batch.get(b"data"), batch.get(label_key.encode())
    fits = (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == np.uint8
        and pixels.ndim == 2
        and pixels.shape[1] == _PIXELS
        and isinstance(labels, list)
        and len(labels) == len(pixels) > 0
        and all(type(label) is int for label in labels)
    )
    if not fits:
        raise UsageError(
            f"{shown(path)}: expected data (N, {_PIXELS}) of bytes and as many {label_key}; "
            "unpack the official archive again"
        )
    with reading(path, "labels that are no classes", _AGAIN):
        return np.asarray(pixels), np.array(labels, dtype=np.int64)


def _check_labels(path: Path, labels: np.ndarray[Any, np.dtype[Any]], num_classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UsageError(
            f"{shown(path)}: record {wrong[0] + 1} has label {labels[wrong[0]]}, expected below "
            f"{num_classes}; unpack the official archive again"
        )


def _raw(pixels: _Bytes, labels: np.ndarray[Any, np.dtype[Any]]) -> RawImages:
    images = np.ascontiguousarray(pixels).reshape(-1, *_SHAPE)
    return RawImages(
        images=torch.from_numpy(images), labels=torch.from_numpy(labels.astype(np.int64))
    )
