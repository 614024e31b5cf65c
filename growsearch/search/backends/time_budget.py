"""Time budget of a search: which trials still fit, and what becomes of those that run then."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from growsearch.trial.record import Trial


class TimeIsUp(BaseException):
    """Ends a trial that runs when the budget is used up; it stays unfinished, with its checkpoint.

    No Exception, as it is no fault of the trial: what handles those lets it pass, as Ctrl-C.
    """


@dataclass(slots=True, kw_only=True)
class TimeBudget:
    """Seconds of wall clock since ``started``, by default now; None is no limit.

    ``clock`` gives seconds that only grow, ``reserved`` are kept for the end. ``reason`` says why
    a search ended, once one has.
    """

    seconds: float | None
    clock: Callable[[], float] = time.monotonic
    reason: str | None = None
    started: float | None = None
    reserved: float = 0.0

    def __post_init__(self) -> None:
        if self.started is None:
            self.started = self.clock()

    def left(self) -> float | None:
        """Return the seconds that are left, at least 0; None where there is no limit."""
        if self.seconds is None or self.started is None:
            return None
        return max(0.0, self.seconds - self.reserved - self.elapsed())

    def elapsed(self) -> float:
        """Return the seconds since it began, which is when the command did."""
        return 0.0 if self.started is None else self.clock() - self.started

    def spent_share(self) -> float:
        """Return which share of the budget is spent, at most 1; 0 where there is no limit."""
        left = self.left()
        if left is None or not self.seconds:
            return 0.0
        return min(1.0, 1 - left / (self.seconds - self.reserved))

    def reserve(self, seconds: float) -> None:
        """Keep so many seconds for the end itself, but a twentieth of the budget at most."""
        if self.seconds is not None:
            self.reserved = min(seconds, self.seconds / 20)

    def admits(self, trials: Iterable[Trial]) -> bool:
        """Tell whether a new trial could finish: by the median time of those that have.

        Without one nobody knows, and it may try.
        """
        left = self.left()
        if left is None:
            return True
        if left <= 0:
            self.end("it was used up")
            return False
        taken = [trial.duration_s for trial in trials if trial.finished]
        typical = statistics.median(taken) if taken else 0.0
        if left < typical:
            self.end(f"a trial takes {typical:.3g} s, and {left:.3g} s were left")
            return False
        return True

    def is_over(self) -> bool:
        """Tell whether it is used up, now or before."""
        if self.left() == 0:
            self.end("it was used up")
            return True
        return False

    def end(self, reason: str) -> None:
        """Note the first reason for which the search ends."""
        self.reason = self.reason or reason


@contextmanager
def ended_in_time(budget: TimeBudget) -> Iterator[None]:
    """Raise `TimeIsUp` in the block once the budget is used up, in the middle of whatever it does.

    Outside the main thread no signal arrives: there the block comes to its own end.
    """
    left = budget.left()
    if left is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    over, main = threading.Event(), threading.main_thread().ident or 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not over.is_set():
            budget.end("it was used up")
            raise TimeIsUp

    def watch() -> None:
        if not over.wait(left):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    thread = threading.Thread(target=watch, name="growsearch-time-budget", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        try:
            thread.join()
        finally:
            signal.signal(signal.SIGUSR1, before)
