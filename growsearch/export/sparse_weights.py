"""Sparse weight files: values and where they stand, read back to the bit.

A tensor with many zeros is kept as two: ``NAME.values``, its non-zero entries in order, and either
``NAME.mask``, one bit an entry (first entry in the highest bit of the first byte), or
``NAME.indices``, int32 places in the flattened tensor. The smallest of the three forms is taken.
The file's metadata, under "growsearch.sparse", gives shape and form by name, as JSON. A tensor with
several names is written once, see `growsearch.training.checkpoints.weights_file`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from growsearch.errors import UsageError
from growsearch.kinds.network_bounds import memory_bytes
from growsearch.reading import parse_json, reason
from growsearch.training.checkpoints.weights_file import (
    shared_names,
    stored_once,
    with_shared_names,
)

KEY = "growsearch.sparse"
VALUES, MASK, INDICES = ".values", ".mask", ".indices"

# A plain tensor can be read by everybody: it must be worth it.
_WORTH = 0.9
_INDEX_BYTES = 4
_MAX_INDEX = 2**31 - 1
_MAX_AXES = 8
_SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def encode(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata for `safetensors`; what saves less than a tenth stays plain.

    Zero means all bits zero: a negative zero is kept as a value.

    Raises:
        UsageError: for an entry that is no strided tensor.
    """
    tensors: dict[str, Tensor] = {}
    forms: dict[str, dict[str, object]] = {}
    once, again = stored_once(state)
    for name, tensor in once.items():
        flat = tensor.flatten()
        form = _form(flat)
        if form is None or any(name + end in state for end in (VALUES, MASK, INDICES)):
            tensors[name] = tensor
            continue
        live = _nonzero(flat)
        tensors[name + VALUES] = flat[live]
        tensors[name + form] = _bits(live) if form == MASK else live.nonzero().flatten().int()
        forms[name] = {"shape": list(tensor.shape), "form": form.removeprefix(".")}
    return tensors, {**again, **({KEY: json.dumps(forms)} if forms else {})}


def decode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the state that `encode` was given.

    Raises:
        ValueError: if the parts do not fit together, or claim more than this machine's memory.
    """
    forms = _forms(metadata)
    state = {name: tensor for name, tensor in tensors.items() if name not in _parts(forms)}
    claimed = [
        math.prod(form.shape) * tensors[name + VALUES].element_size()
        for name, form in forms.items()
    ]
    if sum(claimed) > memory_bytes():
        raise ValueError(f"{sum(claimed):,} bytes are more than this machine's memory")
    for name, form in forms.items():
        flat = _whole(tensors, name, form.kind, math.prod(form.shape))
        state[name] = flat.view(form.shape)
    return with_shared_names(state, metadata)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a tensor is kept: as "mask" or "indices", and what shape it has."""

    kind: str
    shape: tuple[int, ...]


def _forms(metadata: Mapping[str, str]) -> dict[str, _Form]:
    """Return how the tensors of a file are kept that are not plain.

    Raises:
        ValueError: for a form or a shape that cannot be.
    """
    found: Any = parse_json(metadata.get(KEY, "{}"))
    return {str(name): _form_of(str(name), about) for name, about in dict(found).items()}


def _form_of(name: str, about: Any) -> _Form:
    kind, shape = str(about["form"]), about["shape"]
    if "." + kind not in (MASK, INDICES):
        raise ValueError(f"{name}: unknown form {kind!r}")
    sizes = isinstance(shape, list) and len(shape) <= _MAX_AXES
    if not sizes or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"{name}: shape {str(shape)[:60]} is no list of sizes")
    if math.prod(shape) > _MAX_INDEX:
        raise ValueError(f"{name}: shape {shape} has more than {_MAX_INDEX:,} entries")
    return _Form(kind, tuple(shape))


def _parts(forms: Mapping[str, _Form]) -> set[str]:
    return {name + end for name in forms for end in (VALUES, MASK, INDICES)}


def save(state: Mapping[str, Tensor]) -> bytes:
    """Return a safetensors file of ``state``, sparse where that is smaller."""
    tensors, metadata = encode(state)
    return safetensors.torch.save(tensors, metadata=metadata or None)


def read_weights(
    path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, Tensor]:
    """Return the state in a safetensors file, plain or written by `save`.

    Args:
        path: the file.
        shapes: those of the network that the weights are for, by name. They are compared with the
            file's before anything is read.

    Raises:
        UsageError: if it is not there, cannot be read, or is of another network.

    Example:
        >>> from pathlib import Path
        >>> import safetensors.torch
        >>> import torch
        >>> from growsearch.export import read_weights
        >>> _ = safetensors.torch.save_file({"weight": torch.eye(2)}, "weights.safetensors")
        >>> read_weights(Path("weights.safetensors"))["weight"].equal(torch.eye(2))
        True
    """
    if not path.is_file():
        raise UsageError(f"{path} is missing; run the trial again to get its weights")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if shapes is not None:
                _check_shapes(path, _stored_shapes(file, metadata), shapes)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return decode(tensors, metadata)
    except (MemoryError, UsageError):
        raise
    except Exception as error:
        raise UsageError(f"{path} cannot be read ({reason(error)}); run the trial again") from error


def _stored_shapes(file: Any, metadata: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a file's header gives, by the name of the whole tensor."""
    forms = _forms(metadata)
    plain = [name for name in file.keys() if name not in _parts(forms)]  # noqa: SIM118
    found = {name: tuple(file.get_slice(name).get_shape()) for name in plain}
    found |= {name: form.shape for name, form in forms.items()}
    return found | {name: found[first] for name, first in metadata.items() if first in found}


def _check_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    for name in dict.fromkeys([*wanted, *found]):
        if found.get(name) != wanted.get(name):
            raise UsageError(
                f"{path} holds the weights of another network: {name} is "
                f"{found.get(name, 'not there')}, and in the network {wanted.get(name, 'not')}"
            )


def without_negative_zeros(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state with +0 for -0, which a mask that was multiplied with leaves behind.

    The two are equal, and only +0 can be left out of a file.
    """
    return {n: t + 0.0 if t.is_floating_point() else t for n, t in state.items()}


def plain_bytes(state: Mapping[str, Tensor]) -> int:
    """Return what the tensors take with every zero written, those with several names once."""
    again = shared_names(state)
    return sum(t.numel() * t.element_size() for name, t in state.items() if name not in again)


def _form(flat: Tensor) -> str | None:
    """Return the smallest form, or None for the plain one."""
    size, count = flat.element_size(), flat.numel()
    if size not in _SAME_SIZE or flat.is_complex():
        return None
    live = int(_nonzero(flat).sum())
    sizes: dict[str, float] = {MASK: live * size + math.ceil(count / 8)}
    if count <= _MAX_INDEX:
        sizes[INDICES] = live * (size + _INDEX_BYTES)
    best = min(sizes, key=lambda form: sizes[form])
    return best if sizes[best] < _WORTH * count * size else None


def _nonzero(flat: Tensor) -> Tensor:
    return flat.view(_SAME_SIZE[flat.element_size()]) != 0


def _bits(live: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(live.numpy()))


def _whole(tensors: Mapping[str, Tensor], name: str, form: str, count: int) -> Tensor:
    """Put the values of a tensor of ``count`` entries where they belong."""
    values, places = tensors[name + VALUES], _places(tensors, name, form, count)
    if values.ndim != 1 or len(places) != len(values):
        raise ValueError(f"{name}: {len(values)} values for {len(places)} places")
    found = torch.zeros(count, dtype=values.dtype)
    found[places] = values
    return found


def _places(tensors: Mapping[str, Tensor], name: str, form: str, count: int) -> Tensor:
    """Return the places of the values in the flattened tensor, each below ``count``."""
    if "." + form == MASK:
        mask = tensors[name + MASK]
        if mask.dtype != torch.uint8 or mask.shape != (math.ceil(count / 8),):
            raise ValueError(f"{name}: a mask of {tuple(mask.shape)} for {count} entries")
        bits = np.unpackbits(mask.numpy(), count=count)
        return torch.from_numpy(bits).bool().nonzero().flatten()
    places = tensors[name + INDICES]
    if places.dtype != torch.int32 or places.ndim != 1:
        raise ValueError(f"{name}: its indices are no list of int32")
    rising = bool((places[1:] > places[:-1]).all())
    if not rising or (len(places) and not 0 <= int(places[0]) <= int(places[-1]) < count):
        raise ValueError(f"{name}: its indices do not rise from 0 to below {count}")
    return places.long()
