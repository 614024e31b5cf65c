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
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from growsearch.errors import UsageError
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
        ValueError: if the parts do not fit together.
    """
    forms = parse_json(metadata.get(KEY, "{}"))
    parts = {name + end for name in forms for end in (VALUES, MASK, INDICES)}
    state = {name: tensor for name, tensor in tensors.items() if name not in parts}
    for name, about in forms.items():
        shape = [int(size) for size in about["shape"]]
        state[name] = _whole(tensors, name, str(about["form"]), math.prod(shape)).view(shape)
    return with_shared_names(state, metadata)


def save(state: Mapping[str, Tensor]) -> bytes:
    """Return a safetensors file of ``state``, sparse where that is smaller."""
    tensors, metadata = encode(state)
    return safetensors.torch.save(tensors, metadata=metadata or None)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state in a safetensors file, plain or written by `save`.

    Raises:
        UsageError: if it is not there or cannot be read.

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
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return decode(tensors, file.metadata() or {})
    except MemoryError:
        raise
    except Exception as error:
        raise UsageError(f"{path} cannot be read ({reason(error)}); run the trial again") from error


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
    values = tensors[name + VALUES]
    found = torch.zeros(count, dtype=values.dtype)
    if form == MASK.removeprefix("."):
        bits = np.unpackbits(tensors[name + MASK].numpy(), count=count)
        places = torch.from_numpy(bits).bool().nonzero().flatten()
    elif form == INDICES.removeprefix("."):
        places = tensors[name + INDICES].long()
    else:
        raise ValueError(f"{name}: unknown form {form!r}")
    if len(places) != len(values) or (len(places) and not 0 <= int(places.max()) < count):
        raise ValueError(f"{name}: {len(values)} values for {len(places)} places")
    found[places] = values
    return found
