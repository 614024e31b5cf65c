"""Timeline of a run: when each trial ran, in lanes of trials that ran beside each other."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from growsearch.report.run_data import Run
from growsearch.trial.record import Trial

# A pause that is longer than this share of the work would leave no room for the work.
_LONG_PAUSE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One trial's last attempt: seconds since the run's first one, without long pauses."""

    trial: Trial
    start_s: float
    end_s: float
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Trials by start; ``pauses`` are (at, length) in seconds of what was left out between them."""

    bars: tuple[Bar, ...]
    pauses: tuple[tuple[float, float], ...]


def timeline(run: Run) -> Timeline:
    """Return when the trials of ``run`` ran; ledger lines without a time are left out.

    A trial's start is its end less the time that its last attempt took.
    """
    spans = [
        (trial.ended_at - trial.duration_s, trial.ended_at, trial)
        for trial in run.trials
        if trial.ended_at is not None and trial.duration_s is not None and trial.duration_s >= 0
    ]
    return _in_lanes(sorted(spans, key=lambda span: (*span[:2], span[2].number, span[2].id)))


def _in_lanes(spans: Sequence[tuple[float, float, Trial]]) -> Timeline:
    work = sum(end - start for start, end, _ in spans)
    bars: list[Bar] = []
    pauses: list[tuple[float, float]] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    cut = spans[0][0] if spans else 0.0
    latest = cut
    for start, end, trial in spans:
        pause = start - latest
        if pause > _LONG_PAUSE * work:
            pauses.append((latest - cut, pause))
            cut += pause
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, lane))
        latest = max(latest, end)
        bars.append(Bar(trial=trial, start_s=start - cut, end_s=end - cut, lane=lane))
    return Timeline(bars=tuple(bars), pauses=tuple(pauses))
