"""Bounds on a network that a file describes: checked before anything of its size is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from growsearch.errors import UsageError
from search_spaces import Architecture, SearchSpace

# Text in windows, images, clips; one axis; and what one example may hold: 1 GiB of float32.
_MAX_AXES, _MAX_SIZE, _MAX_VALUES = 4, 2**20, 2**28
_MAX_CLASSES = 2**24
# Transforms widen a network by sqrt(1/(1-s)), and profiles ask for twice the width.
_MAX_TIMES_FULL = 16
# So many branches has a layer of sparse_parallel at 1 - 1/1000.
MAX_SPARSITY = 0.999
_MAX_MULTIPLE, _MAX_RANK = 4096, 2**20
_REMEDY = "restore the file from its run or its export"


def checked_shape(value: Any) -> tuple[int, ...]:
    """Return one example's shape, without the batch axis.

    Raises:
        UsageError: naming value and rule.
    """
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MAX_AXES:
        raise _wrong("input_shape", value, f"a list of 1 to {_MAX_AXES} sizes")
    shape = tuple(checked_count("input_shape", size, _MAX_SIZE) for size in value)
    if math.prod(shape) > _MAX_VALUES:
        raise _wrong("input_shape", value, f"at most {_MAX_VALUES:,} values an example")
    return shape


def checked_classes(value: Any) -> int:
    """Return a number of classes.

    Raises:
        UsageError: naming value and rule.
    """
    return checked_count("num_classes", value, _MAX_CLASSES)


def checked_multiple(value: Any) -> int:
    """Return what widths are rounded to.

    Raises:
        UsageError: naming value and rule.
    """
    return checked_count("multiple", value, _MAX_MULTIPLE)


def checked_paths(key: str, value: Any) -> tuple[str, ...]:
    """Return paths of layers.

    Raises:
        UsageError: naming value and rule.
    """
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong(key, value, "a list of texts")
    return tuple(value)


def checked_ranks(value: Any) -> dict[str, int] | None:
    """Return the ranks of layers by name, None where there are none.

    Raises:
        UsageError: naming value and rule.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong("ranks", value, "an object")
    return {str(name): checked_count("ranks", rank, _MAX_RANK) for name, rank in value.items()}


def checked_sparsity(value: Any) -> float:
    """Return a transform's nominal sparsity.

    Raises:
        UsageError: naming value and rule.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= MAX_SPARSITY:
        raise _wrong("sparsity", value, f"a number from 0 to {MAX_SPARSITY}")
    return float(value)


def checked_count(key: str, value: Any, most: int) -> int:
    """Return a whole number from 1 to ``most``.

    Raises:
        UsageError: naming key, value and rule.
    """
    if type(value) is not int or not 1 <= value <= most:
        raise _wrong(key, value, f"whole numbers from 1 to {most:,}")
    return value


def check_widths(space: SearchSpace, architecture: Architecture) -> None:
    """Refuse widths that are far from those of the space.

    Raises:
        UsageError: naming the group, its width and the rule.
    """
    full: Mapping[str, int] = getattr(space, "full_widths", dict)()
    for name, width in architecture.choices:
        most = _MAX_TIMES_FULL * full.get(name, math.inf)
        if isinstance(width, int) and width > most:
            raise _wrong(name, width, f"at most {most:,}, {_MAX_TIMES_FULL} times the full width")


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a module's parameters and buffers by name; nothing is allocated.

    Raises:
        UsageError: if they are beyond what a tensor can be, or this machine's memory holds.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            state = build().state_dict()
    except (RuntimeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"network: it cannot be built ({reason}); {_REMEDY}") from error
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if size > memory_bytes():
        raise UsageError(
            f"network: its weights would take {size / 2**30:,.1f} GiB, more than the "
            f"{memory_bytes() / 2**30:,.1f} GiB of this machine; {_REMEDY}, or use a larger machine"
        )
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def is_sketching() -> bool:
    """Tell whether `shapes_of` is at work, and what is built has no memory."""
    return torch.empty(0).device.type == "meta"


def memory_bytes() -> int:
    """Return the memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _wrong(key: str, value: Any, rule: str) -> UsageError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return UsageError(f"network: {key} = {shown}: must be {rule}; {_REMEDY}")
