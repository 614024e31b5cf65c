"""Checkpoint files: tensors and facts that come back to the bit, no pickle."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from growsearch.errors import GrowsearchError, MachineError
from growsearch.files import write_bytes
from growsearch.reading import parse_json, reason

FORMAT = 1
# A part of a larger tensor keeps its layout; nothing that we write is laid out wider.
_MAX_SPREAD = 16
_FACTS = "growsearch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and facts: plain JSON data.

    Example:
        >>> import torch
        >>> from growsearch.training import Checkpoint
        >>> Checkpoint(tensors={"weight": torch.ones(2)}, facts={"epoch": 3}).facts["epoch"]
        3
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint, *, make_folder: bool = True) -> None:
    """Write one safetensors file in one atomic step, the facts in its header.

    Memory layouts are kept, as a convolution's last bits depend on them. Tensors of an accelerator
    are written as the CPU's. Without ``make_folder`` a folder that is not there is an error.

    Raises:
        GrowsearchError: if the disk is full, read-only or not ours; an older file is untouched.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.training import Checkpoint, write_checkpoint
        >>> path = Path("checkpoint.safetensors")
        >>> kept = Checkpoint(tensors={"weight": torch.ones(2)}, facts={"epoch": 3})
        >>> write_checkpoint(path, kept)
        >>> path.exists()
        True
    """
    here = {name: tensor.detach().cpu() for name, tensor in checkpoint.tensors.items()}
    strides = {n: list(t.stride()) for n, t in here.items() if not _is_plain(t)}
    facts = json.dumps({"format": FORMAT, "strides": strides, **checkpoint.facts}, allow_nan=False)
    # Each in its own memory: safetensors refuses tensors that share theirs.
    tensors = {n: t.contiguous().clone() for n, t in here.items()}
    content = safetensors.torch.save(tensors, metadata={_FACTS: facts})
    write_bytes(path, content, make_folder=make_folder)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises:
        GrowsearchError: if the file is damaged or of another version.
        MachineError: if it cannot be opened; it may well be whole.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.training import Checkpoint, read_checkpoint, write_checkpoint
        >>> path = Path("checkpoint.safetensors")
        >>> kept = Checkpoint(tensors={"weight": torch.ones(2)}, facts={"epoch": 3})
        >>> write_checkpoint(path, kept)
        >>> read_checkpoint(path).facts, read_checkpoint(path).tensors
        ({'epoch': 3}, {'weight': tensor([1., 1.])})
    """
    _check_opens(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = parse_json(file.metadata()[_FACTS])
            if facts.pop("format") != FORMAT:
                raise GrowsearchError(
                    f"{path} was written by another version of growsearch; finish the run with "
                    "that version, or delete the file to start again"
                )
            strides = facts.pop("strides")
            tensors = {n: _own_memory(file.get_tensor(n), strides.get(n)) for n in file.keys()}  # noqa: SIM118
    except (GrowsearchError, MemoryError):
        raise
    except Exception as error:
        raise GrowsearchError(
            f"{path} is damaged ({reason(error)}); delete it to start the run again from its "
            "first epoch"
        ) from error
    return Checkpoint(tensors=tensors, facts=facts)


def _check_opens(path: Path) -> None:
    # safetensors says that a file is not there whatever the reason, and waits for a pipe's writer.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise MachineError(
            f"cannot open {path}: {error.strerror or error}; put that right and run the same "
            "command again"
        ) from error
    if not is_file:
        raise GrowsearchError(f"{path} is no file but a folder, a pipe or a device; remove it")


def tensors_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, without it.

    Example:
        >>> import torch
        >>> from growsearch.training import tensors_under
        >>> tensors = {"model/weight": torch.ones(2), "optimizer/step": torch.ones(1)}
        >>> tensors_under("model/", tensors)
        {'weight': tensor([1., 1.])}
    """
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a fresh tensor has these strides; is_contiguous() ignores axes of size 1."""
    return tensor.stride() == torch.empty(tensor.shape, device="meta").stride()


def _own_memory(value: Tensor, stride: list[int] | None) -> Tensor:
    """Copy into memory of torch's own: aligned as ever, and laid out as before."""
    if stride is None:
        return value.clone()
    _check_stride(value, stride)
    return torch.empty_strided(value.shape, stride, dtype=value.dtype).copy_(value)


def _check_stride(value: Tensor, stride: list[int]) -> None:
    """Refuse a layout that spreads a tensor over far more memory than it fills.

    Raises:
        ValueError: naming shape and strides.
    """
    sizes = zip(value.shape, stride, strict=True)
    reach = 1 + sum((size - 1) * step for size, step in sizes if size and _is_step(step))
    if not all(map(_is_step, stride)) or reach > _MAX_SPREAD * max(1, value.numel()):
        raise ValueError(f"strides {stride} for a tensor of {tuple(value.shape)}")


def _is_step(step: object) -> bool:
    return type(step) is int and step >= 0
