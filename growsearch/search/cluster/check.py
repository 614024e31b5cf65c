"""Check of Ray: does one of this machine's start and run something?"""

from __future__ import annotations

import time

import ray

from growsearch.search.cluster.session import ray_session


def seconds_to_first_task() -> float:
    """Start a Ray, run one task in it, stop it; return how long that took, in seconds.

    Raises:
        GrowsearchError: if Ray does not start.
    """
    started = time.monotonic()
    with ray_session(1, 0.0, None):
        ray.get(ray.remote(num_cpus=1)(_nothing).remote())
        return time.monotonic() - started


def _nothing() -> None:
    """Be a task."""
