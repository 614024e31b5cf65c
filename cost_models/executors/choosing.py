"""Choice of the fastest of several ways to compute the same thing, timed in turn here."""

import time
from collections.abc import Callable, Mapping

import torch

from cost_models.measurement import LOW, quantile

_SAMPLE_S = 2e-4  # shorter samples would measure the clock
_BUDGET_S = 0.03
_MIN_TURNS, _MAX_TURNS = 5, 25


def fastest(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Time calls turn by turn: the 20 % quantile of the seconds of each, by name.

    They are CPU seconds on one thread, which other programs disturb least. The CPU seconds of
    several threads add up, so with more than one it is wall time.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    repeats = {name: _repeats(call, clock) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.process_time()
    for turn in range(_MAX_TURNS):
        spent = time.process_time() - begin
        if turn >= _MIN_TURNS and spent > _BUDGET_S * len(calls):
            break
        for name, call in calls.items():
            samples[name].append(_seconds(call, repeats[name], clock))
    return {name: quantile(taken, LOW) for name, taken in samples.items()}


def _repeats(call: Callable[[], object], clock: Callable[[], float]) -> int:
    seconds = min(_seconds(call, 1, clock) for _ in range(2))
    return max(1, round(_SAMPLE_S / max(seconds, 1e-7)))


def _seconds(call: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats
