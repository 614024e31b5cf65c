"""Peak memory of what runs, as an accelerator counts it, or the size of this process on a CPU."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

# Of Linux: what a process has and had at most, and how to begin that count anew.
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class PeakMemory:
    """The most memory in use since it was made.

    On an accelerator that is all that torch has allocated there, the network and its data included.
    On a CPU it is what this process has grown by, as the operating system counts it: memory that
    was freed before and is used again is not seen, so that it is at least as much.

    Example:
        >>> import torch
        >>> from growsearch.training.peak_memory import PeakMemory
        >>> peak = PeakMemory(torch.device("cpu"))
        >>> kept = torch.ones(4_000_000)
        >>> found = peak.bytes()
        >>> found is None or found > 8_000_000
        True
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: int | None = None
        if device.type == "cpu":
            with contextlib.suppress(OSError):
                _RESET.write_text(_RESET_PEAK)
                self._before = _of_process("VmRSS")
        else:
            with contextlib.suppress(RuntimeError, AttributeError):
                torch.accelerator.reset_peak_memory_stats(device)
                self._before = 0

    def bytes(self) -> int | None:
        """Return the peak; None where neither the device nor the system tells."""
        if self._before is None:
            return None
        if self._device.type == "cpu":
            most = _of_process("VmHWM")
            return None if most is None else max(0, most - self._before)
        try:
            return int(torch.accelerator.max_memory_allocated(self._device))
        except (RuntimeError, AttributeError):
            return None


def _of_process(name: str) -> int | None:
    """Return one of the process's sizes; the system gives it in KiB."""
    for line in _STATUS.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None
