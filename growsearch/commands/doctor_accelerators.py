"""Accelerators of this machine: name, memory, and the precisions that their hardware computes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import device as Device

# Whose hardware computes float16, too.
_FLOAT16 = ("cuda", "xpu", "mps")


def accelerators() -> Iterator[tuple[str, str]]:
    """Yield every device to train on by name, with a line of what it is, the CPU first."""
    import torch

    from growsearch.training.devices import devices_here

    for name in devices_here():
        device = torch.device(name)
        words = (_title(device), _memory(device), _precisions(device))
        yield name, "; ".join(word for word in words if word)


def _title(device: Device) -> str:
    """Return a device's own name, where its backend tells it."""
    import torch

    if device.type == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"{cores} core" if cores == 1 else f"{cores} cores"
    backend = torch.get_device_module(device.type)
    named = getattr(backend, "get_device_name", None)
    return str(named(device)) if named is not None else device.type


def _memory(device: Device) -> str:
    """Return how much memory a device has; what is free of an accelerator's, too."""
    import torch

    from growsearch.datasets.reading.memory import memory_bytes

    if device.type == "cpu":
        return f"{memory_bytes() / 2**30:.1f} GiB of memory"
    try:
        free, total = torch.accelerator.get_memory_info(device)
    except (RuntimeError, AttributeError):
        return "its memory is not told"
    return f"{total / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB free"


def _precisions(device: Device) -> str:
    """Return the precisions that hardware computes, as `training.precision: auto` sees it."""
    from growsearch.training.devices import computed_precision

    names = ["float32"]
    if computed_precision(device) == "bfloat16":
        names.append("bfloat16")
    if device.type in _FLOAT16:
        names.append("float16")
    emulated = "" if "bfloat16" in names else " (bfloat16 would be emulated)"
    return f"computes {', '.join(names)}{emulated}"
