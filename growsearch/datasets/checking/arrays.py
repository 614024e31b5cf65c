"""Arrays that a person gives: tensors of numbers, and images whose channels come first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.reading.memory import check_memory_for
from growsearch.errors import UsageError

Arrays = Tensor | np.ndarray[Any, np.dtype[Any]]
Layout = Literal["channels-first", "channels-last"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

# At most so many channels has an image that people look at; fewer pixels, no image.
_FEW = 4
_IMAGE_AXES = 4
_NUMBERED = "number the classes from 0 on: numpy.unique(labels, return_inverse=True)[1]"
# Float32 inputs, and once more while they are split.
_BYTES_AN_INPUT = 8
_REFUSED_KINDS = {
    "U": "text",
    "S": "bytes",
    "O": "Python objects",
    "M": "dates",
    "m": "times",
    "V": "records",
    "c": "complex numbers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images with a stated layout: (N, C, H, W) or (N, H, W, C), float or uint8.

    For `from_tensors`, where the shape alone leaves it open which axis has the channels. For
    `from_torch` the values are one of torch's data sets, whose images are (C, H, W) or (H, W, C).
    """

    values: Any
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A tensor on the processor, and the number type that it was given in."""

    tensor: Tensor
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} {tuple(self.tensor.shape)}"


def given(values: Any, key: str) -> Given:
    """Return what a person gave as a tensor; unsigned numbers of 16 bits and more become int64.

    Raises:
        UsageError: for anything else than numbers, or what does not fit into memory.
    """
    with reading(
        "dataset", f"{key} are no array of numbers", "give NumPy arrays or tensors of numbers"
    ):
        tensor = values if isinstance(values, Tensor) else None
        if tensor is not None and tensor.dtype.is_complex:
            raise UsageError(f"dataset: {key} are complex numbers; give real ones")
        if tensor is not None and (tensor.layout is not torch.strided or tensor.is_quantized):
            raise UsageError(f"dataset: {key} are sparse or quantised; give plain tensors")
        size = tensor.numel() if tensor is not None else np.size(values)
        check_memory_for("dataset", f"{key} of {size:,} numbers", _BYTES_AN_INPUT * size)
        if tensor is None:
            return _of_array(_numbers(values, key), key)
        tensor = tensor.detach().cpu()
        if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64):
            return _of_array(tensor.numpy(), key)
        return Given(tensor=tensor, kind=str(tensor.dtype).removeprefix("torch."))


def _numbers(values: Any, key: str) -> np.ndarray[Any, np.dtype[Any]]:
    if np.ma.is_masked(values):
        raise UsageError(f"dataset: {key} have masked values; fill or remove them")
    array = np.asarray(values)
    refused = _REFUSED_KINDS.get(array.dtype.kind)
    if refused is not None:
        remedy = _NUMBERED if "labels" in key else "give numbers"
        raise UsageError(f"dataset: {key} are {refused} {array.shape}; {remedy}")
    return array


def _of_array(array: np.ndarray[Any, np.dtype[Any]], key: str) -> Given:
    kind = array.dtype.name
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise UsageError(f"dataset: {key} hold {array.max()}; numbers are below 2^63")
        array = array.astype(np.int64)
    # In this machine's byte order, in one piece and writable, as torch wants it.
    array = np.require(array, dtype=array.dtype.newbyteorder("="), requirements=["C", "W"])
    return Given(tensor=torch.from_numpy(array), kind=kind)


def channels_first(inputs: Given, labels: Tensor, layout: str | None, key: str) -> Given:
    """Return images (N, C, H, W) in the ``layout`` that was stated; None: nothing was stated.

    Raises:
        UsageError: for an unknown layout, or a shape that leaves open which axis has the channels.
    """
    if layout is None:
        _check_open_layout(inputs, labels, key)
        return inputs
    check_layout(layout)
    if inputs.tensor.ndim != _IMAGE_AXES:
        raise UsageError(f"dataset: {key} are {inputs}; images have four axes")
    if layout == "channels-last":
        tensor = inputs.tensor.permute(0, 3, 1, 2).contiguous()
        return Given(tensor=tensor, kind=inputs.kind)
    return inputs


def check_layout(layout: str) -> None:
    """Raise UsageError for a layout that does not exist."""
    if layout not in LAYOUTS:
        raise UsageError(f"dataset: unknown layout {layout!r}; valid: {', '.join(LAYOUTS)}")


def _check_open_layout(inputs: Given, labels: Tensor, key: str) -> None:
    if not channels_may_be_last(tuple(inputs.tensor.shape), tuple(labels.shape)):
        return
    raise UsageError(
        f"dataset: {key} are {inputs}, whose last axis may be the channels, and those come first, "
        f"(N, C, H, W); give {key}.transpose(0, 3, 1, 2), or say which it is: growsearch.Images("
        "values=..., layout='channels-first' or 'channels-last'), an array layout in data.npz"
    )


def channels_may_be_last(shape: tuple[int, ...], labels: tuple[int, ...]) -> bool:
    """Tell whether inputs of a ``shape`` (N, ...) could be images (N, H, W, C).

    Square ones tell where their channels are, and so do ``labels`` (N, H, W), one a pixel.

    Example:
        >>> from growsearch.datasets.checking.arrays import channels_may_be_last
        >>> channels_may_be_last((9, 32, 32, 3), (9,)), channels_may_be_last((9, 3, 32, 32), (9,))
        (True, False)
    """
    if len(shape) != _IMAGE_AXES:
        return False
    _, first, middle, last = shape
    if len(labels) == 3:
        # One label a pixel: they have the images' height and width.
        if labels[1:] != (middle, last):
            return labels[1:] == (first, middle)
        return first == middle == last
    if first == middle == last:
        return 1 < last <= _FEW
    if middle == last:
        return False
    return last <= _FEW or (first == middle and last < first)
