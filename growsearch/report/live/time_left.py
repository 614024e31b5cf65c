"""Time left of a search, told with what it is taken from, and not told where nothing is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from growsearch.trial.progress_file import TrialProgress

# Less work than this of one trial says nothing about all of them.
_LEAST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """Seconds until a search ends, None where nobody knows, and from what that is."""

    seconds: float | None
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A session of a search so far: trials wanted and done in all, and done here in ``spent_s``.

    ``budget_s`` is the session's time budget; ``running`` are its trials under way. ``repeats``
    says of repeats that follow the trials that they "follow" or "are under way"; it is empty where
    there are none left. Nobody knows how long they take.
    """

    wanted: int | None
    done: int
    done_here: int
    spent_s: float
    budget_s: float | None = None
    running: tuple[TrialProgress, ...] = ()
    repeats: str = ""

    def left(self, now: float) -> TimeLeft:
        """Return the time left: the session's pace, epochs of running trials counted, goes on.

        A running trial needs its own rest at least, and a time budget ends the search.

        Args:
            now: Unix time.

        Example:
            >>> from growsearch.report.live.time_left import Pace
            >>> Pace(wanted=10, done=4, done_here=4, spent_s=60.0).left(0.0)
            TimeLeft(seconds=90.0, basis='4 trials in 1:00')
        """
        budget = None if self.budget_s is None else max(0.0, self.budget_s - self.spent_s)
        by_pace = self._by_pace(now)
        if budget is None:
            return by_pace
        if by_pace.seconds is None or budget < by_pace.seconds:
            return TimeLeft(seconds=budget, basis="its time budget")
        return by_pace

    def _by_pace(self, now: float) -> TimeLeft:
        if self.wanted is None:
            return TimeLeft(seconds=None, basis="the study has no number of trials")
        rest = self.wanted - self.done
        if rest <= 0 and self.repeats:
            return TimeLeft(seconds=None, basis=f"repeats of the front {self.repeats}")
        if rest <= 0:
            return TimeLeft(seconds=0.0, basis="all trials are there")
        # Nobody shares a trial's epochs that were there before this session.
        under_way = sum((each.share or 0.0) for each in self.running)
        here = self.done_here + sum(
            max(0.0, (each.share or 0.0) - each.resumed_share) for each in self.running
        )
        if here < _LEAST or self.spent_s <= 0:
            return TimeLeft(seconds=None, basis="nothing has been trained yet")
        seconds = self.spent_s / here * max(0.0, rest - under_way)
        return TimeLeft(
            seconds=max([seconds, *_own_rests(self.running, now)]),
            basis=f"{_few_digits(here)} trial{'' if here == 1 else 's'} in {clock(self.spent_s)}"
            + (", repeats not counted" if self.repeats else ""),
        )


def _own_rests(running: Iterable[TrialProgress], now: float) -> Iterable[float]:
    """Yield what each running trial still takes if its own epochs go on as they went."""
    for each in running:
        share = each.share
        if share is None or share - each.resumed_share < _LEAST:
            continue
        taken = max(0.0, min(now, each.written_at) - each.started_at)
        yield taken / (share - each.resumed_share) * (1 - share)


def _few_digits(count: float) -> str:
    return f"{count:.0f}" if count >= 10 or count == int(count) else f"{count:.2g}"


def clock(seconds: float) -> str:
    """Return a duration as 0:12, 3:04 or 2:03:04.

    Example:
        >>> from growsearch.report.live.time_left import clock
        >>> clock(12.7), clock(184), clock(7384)
        ('0:12', '3:04', '2:03:04')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
