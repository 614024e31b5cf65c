"""How long does a search take on many workers? Trials that end after simulated seconds."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from growsearch.errors import UsageError
from growsearch.search.fidelity.mo_asha import MultiObjectiveAsha, RungRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What a trial tells on its way: after ``seconds`` it has ``steps`` steps and these values."""

    steps: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulated trial gives: its objectives' values and the seconds it takes.

    ``rungs``, in order of their seconds, are what early stopping judges it by.
    """

    values: Sequence[float]
    seconds: float
    rungs: Sequence[Rung] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTrial:
    """A trial that has ended: its place in the order of starts, its worker and its times.

    ``stopped`` tells that a rung ended it; its values are then not to be used.
    """

    number: int
    worker: int
    started_s: float
    ended_s: float
    params: Mapping[str, Any]
    values: tuple[float, ...]
    stopped: bool = False


def simulate(
    study: optuna.study.Study,
    objective: Callable[[optuna.Trial], Outcome],
    *,
    workers: int,
    trials: int,
    stopping: MultiObjectiveAsha | None = None,
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
        stopping: judges trials at their rungs; None: all run to their end.

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
        now_s, number, trial = heapq.heappop(running)
        stopped = False
        if trial.place < len(trial.outcome.rungs):
            rung = trial.outcome.rungs[trial.place]
            stopped = stopping is not None and not stopping.goes_on(
                RungRecord(trial=str(number), steps=rung.steps, values=rung.values)
            )
            if not stopped:
                _wait(running, number, dataclasses.replace(trial, place=trial.place + 1))
                continue
        yield _end(study, trial, number, now_s, stopped=stopped)
        if started < trials:
            _start(study, objective, running, worker=trial.worker, now_s=now_s)
            started += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    asked: optuna.Trial
    worker: int
    started_s: float
    outcome: Outcome
    # Of its next rung; behind the last one comes its end.
    place: int = 0


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
    trial = _Running(asked=asked, worker=worker, started_s=now_s, outcome=outcome)
    _wait(running, asked.number, trial)


def _wait(running: list[tuple[float, int, _Running]], number: int, trial: _Running) -> None:
    """Put a trial's next rung, or its end, into the queue."""
    outcome = trial.outcome
    rungs = outcome.rungs
    seconds = rungs[trial.place].seconds if trial.place < len(rungs) else outcome.seconds
    # Numbers differ, so that the heap never has to compare two trials.
    heapq.heappush(running, (trial.started_s + seconds, number, trial))


def _end(
    study: optuna.study.Study, trial: _Running, number: int, now_s: float, *, stopped: bool
) -> SimulatedTrial:
    params, values = trial.asked.params, tuple(map(float, trial.outcome.values))
    if stopped:
        study.tell(trial.asked, state=TrialState.PRUNED)
    elif all(math.isfinite(value) for value in values):
        study.tell(trial.asked, list(values))
    else:
        study.tell(trial.asked, state=TrialState.FAIL)
    return SimulatedTrial(
        number=number,
        worker=trial.worker,
        started_s=trial.started_s,
        ended_s=now_s,
        params=params,
        values=values,
        stopped=stopped,
    )
