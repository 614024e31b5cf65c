"""How long does a search take on many workers? Trials that end after simulated seconds."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulated trial gives: its objectives' values and the seconds it takes."""

    values: Sequence[float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTrial:
    """A trial that has ended: its place in the order of starts, its worker and its times."""

    number: int
    worker: int
    started_s: float
    ended_s: float
    params: Mapping[str, Any]
    values: tuple[float, ...]


def simulate(
    study: optuna.study.Study,
    objective: Callable[[optuna.Trial], Outcome],
    *,
    workers: int,
    trials: int,
) -> Iterator[SimulatedTrial]:
    """Run ``trials`` trials on so many asynchronous workers; yield each when it ends.

    A worker asks for its next trial as soon as its last one has ended and was told; nobody waits
    for anybody else. Trials that end at the same time end in the order of their starts. A value
    that is not finite ends a trial as failed.

    Args:
        study: where to ask and tell.
        objective: asks the trial for its parameters, and says what they lead to and when.
        workers: at work at the same time.
        trials: started in all.

    Raises:
        UsageError: without a worker, or for a trial that takes less than no time.
    """
    if workers < 1:
        raise UsageError(f"workers = {workers}: at least one is needed")
    running: list[tuple[float, int, _Running]] = []
    started = 0
    while started < min(workers, trials):
        _start(study, objective, running, worker=started, now_s=0.0)
        started += 1
    while running:
        ended_s, number, trial = heapq.heappop(running)
        yield _end(study, trial, number, ended_s)
        if started < trials:
            _start(study, objective, running, worker=trial.worker, now_s=ended_s)
            started += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    asked: optuna.Trial
    worker: int
    started_s: float
    values: tuple[float, ...]


def _start(
    study: optuna.study.Study,
    objective: Callable[[optuna.Trial], Outcome],
    running: list[tuple[float, int, _Running]],
    *,
    worker: int,
    now_s: float,
) -> None:
    asked = study.ask()
    outcome = objective(asked)
    if not outcome.seconds >= 0:
        raise UsageError(f"seconds = {outcome.seconds}: a trial takes no less than 0 seconds")
    trial = _Running(
        asked=asked, worker=worker, started_s=now_s, values=tuple(map(float, outcome.values))
    )
    # Numbers differ, so that the heap never has to compare two trials.
    heapq.heappush(running, (now_s + outcome.seconds, asked.number, trial))


def _end(study: optuna.study.Study, trial: _Running, number: int, now_s: float) -> SimulatedTrial:
    params = trial.asked.params
    if all(math.isfinite(value) for value in trial.values):
        study.tell(trial.asked, list(trial.values))
    else:
        study.tell(trial.asked, state=TrialState.FAIL)
    return SimulatedTrial(
        number=number,
        worker=trial.worker,
        started_s=trial.started_s,
        ended_s=now_s,
        params=params,
        values=trial.values,
    )
