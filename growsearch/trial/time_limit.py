"""Time limit of a trial: asked at every step, and by a watchdog if no step comes."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from growsearch.errors import TimeLimitError, UsageError

# A trial that still takes steps ends by itself; the watchdog acts on one that does not.
_GRACE_SHARE = 0.25
_MAX_GRACE_S = 10.0

Guard = Callable[[], AbstractContextManager[object]]


def limited(guard: Guard, limit_s: float | None) -> Guard:
    """Return ``guard`` with a look at the clock before every step; None is no limit.

    The time starts now. The steps raise `TimeLimitError` once it is over.
    """
    if limit_s is None:
        return guard
    end = time.monotonic() + limit_s
    steps = 0

    @contextmanager
    def step() -> Iterator[None]:
        nonlocal steps
        if time.monotonic() > end:
            raise TimeLimitError(f"{_passed(limit_s)} after {steps} steps; {_REMEDY}")
        with guard():
            yield
        steps += 1

    return step


@contextmanager
def watchdog(limit_s: float | None, bark: Callable[[str], None]) -> Iterator[None]:
    """Call ``bark`` from another thread if the block hangs: is not over soon after ``limit_s``.

    What it receives says where the thread that entered the block hangs.
    """
    if limit_s is None:
        yield
        return
    over, hanging = threading.Event(), threading.get_ident()
    patience = limit_s + min(_MAX_GRACE_S, _GRACE_SHARE * limit_s)

    def watch() -> None:
        if not over.wait(patience):
            bark(f"{_passed(limit_s)} and it hung in {place_of(hanging)}; {_REMEDY}")

    thread = threading.Thread(target=watch, name="growsearch-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def interrupted_after(limit_s: float | None) -> Iterator[None]:
    """Raise `TimeLimitError` in this thread, the main one, if the block hangs.

    A signal ends waiting for locks, sleeping and reading; a loop inside C it does not.

    Raises:
        UsageError: outside the main thread, where no signal arrives.
    """
    if limit_s is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "search.time_limit: the serial backend keeps it in the main thread only; "
            "run the study there, or with the Ray backend"
        )
    messages: list[str] = []
    over = False

    def wake(message: str) -> None:
        messages.append(message)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # A signal that comes while the watchdog is called off is late.
        if not over:
            raise TimeLimitError(messages[0])

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with watchdog(limit_s, wake):
            try:
                yield
            finally:
                over = True
    finally:
        signal.signal(signal.SIGALRM, before)


def place_of(thread: int) -> str:
    """Return the innermost function, file and line at which a thread is now."""
    frame = sys._current_frames().get(thread)
    if frame is None:
        return "a thread that has ended"
    last = traceback.extract_stack(frame, limit=1)[0]
    return f"{last.name} ({last.filename.rpartition('/')[2]}:{last.lineno})"


_REMEDY = "give more with search.time_limit, and run it again with --retry-failed"


def _passed(limit_s: float) -> str:
    return f"the time limit of {limit_s:g} s passed"
