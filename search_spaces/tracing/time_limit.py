"""Time limit of a trace: processor time after which it ends with a message instead of a wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import nn

from search_spaces.errors import SearchSpaceError

# Of processor time of one core: what else runs on a machine must not decide what a trace finds.
TRACE_SECONDS = 60.0
_END: ContextVar[tuple[float, float] | None] = ContextVar("end of the trace", default=None)


class TimeLimitError(SearchSpaceError):
    """A trace took longer than it may."""


def seconds_for(module: nn.Module, wanted: float | None) -> float:
    """Return how long a trace of ``module`` may take: as wanted, as it says itself, or a minute.

    Raises:
        SearchSpaceError: if its ``trace_seconds`` is no number above 0.
    """
    seconds = getattr(module, "trace_seconds", TRACE_SECONDS) if wanted is None else wanted
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise SearchSpaceError(f"trace_seconds: {seconds!r} is no number of seconds above 0")
    return float(seconds)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End what runs inside once it has taken ``seconds`` of this thread's processor time."""
    token = _END.set((time.thread_time() + seconds, seconds))
    try:
        yield
    finally:
        _END.reset(token)


def check_time() -> None:
    """Raise TimeLimitError if the time of the `time_limit` around is over."""
    end = _END.get()
    if end is not None and time.thread_time() > end[0]:
        raise TimeLimitError(
            f"it took more than {end[1]:g} s of processor time: raise trace_seconds (an attribute "
            "of the network, or the argument), declare the groups in a method channel_groups(), "
            "or trace on a smaller example"
        )
