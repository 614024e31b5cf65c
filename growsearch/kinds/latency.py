"""Latency metrics of a study: their names, their batch, and the profiles that predict them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cost_models import LatencyProfile, load_profile
from growsearch.fault_origin import of_the_machine

# Latencies of a search are those of one example at a time, as a deployed network meets them.
LATENCY_BATCH = 1


def latency_metric(device: str) -> str:
    """Return the metric's name of a device: "latency[cpu]"."""
    return f"latency[{device}]"


@lru_cache(maxsize=8)
def fitted_profile(path: Path) -> LatencyProfile:
    """Read a profile once a process: fitting it again takes a second.

    Raises:
        GrowsearchError: if it cannot be read; no candidate's fault.
    """
    with of_the_machine():
        return load_profile(path)
