"""A network's state for a safetensors file: each tensor once, though it may have several names.

Safetensors refuses tensors that share memory (tied weights, a layer under two names). As its own
`save_model` does, the first name keeps the tensor, and the header gives it for each further name.
"""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor

from growsearch.errors import UsageError


def shared_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the first name of every tensor of ``state`` by each further name that it has."""
    first: dict[object, str] = {}
    again = {}
    for name, tensor in state.items():
        if not tensor.numel():
            continue  # nothing of it is in memory
        known = first.setdefault(_place(tensor), name)
        if known != name:
            again[name] = known
    return again


def stored_once(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors to write, each in memory of its own, and the header's further names.

    Raises:
        UsageError: for an entry that is no strided tensor, which no such file can hold.
    """
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise UsageError(
                f"{name} is {_kind(value)}: weights are kept as safetensors, plain tensors alone; "
                "let get_extra_state() return a tensor, or keep the value out of the state"
            )
    again = shared_names(state)
    tensors: dict[str, Tensor] = {}
    used: set[int] = set()
    for name, tensor in state.items():
        if name not in again:
            own = tensor.detach().cpu().contiguous()
            memory = own.untyped_storage()
            part = memory.nbytes() != own.numel() * own.element_size()
            tensors[name] = own.clone() if part or memory.data_ptr() in used else own
            used.add(memory.data_ptr())
    return tensors, again


def with_shared_names(
    tensors: Mapping[str, Tensor], header: Mapping[str, str]
) -> dict[str, Tensor]:
    """Return the state that `stored_once` was given, further names included."""
    again = {name: first for name, first in header.items() if first in tensors}
    return {**{name: tensors[first] for name, first in again.items()}, **tensors}


def weights_bytes(state: Mapping[str, Tensor]) -> bytes:
    """Return a safetensors file of ``state``.

    Raises:
        UsageError: for an entry that is no strided tensor.
    """
    tensors, again = stored_once(state)
    return safetensors.torch.save(tensors, metadata=again or None)


def _place(tensor: Tensor) -> object:
    """Return what tells tensors apart that are at the same place in memory and read it alike."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _kind(value: object) -> str:
    return f"of layout {value.layout}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
