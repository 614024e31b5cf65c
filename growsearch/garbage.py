"""Garbage collection: Python's search for reference cycles, paused while many records are made.

The search looks at every list, dict and record that is there, again and again while they are made;
a ledger of ten thousand trials has a million of them and no cycle. What is no part of a cycle is
freed without the search.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_cycle_search() -> Iterator[None]:
    """Pause the search inside the with block, also as a decorator; it goes on as it was before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def no_cycle_search_at_exit() -> None:
    """Let the process end without the search, which Python else makes several times then."""
    atexit.register(gc.freeze)
