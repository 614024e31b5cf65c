"""Interleaved timing of networks and operators on a machine that is not idle.

Everything takes its turn in every pass, so that a slow minute meets all of it. Operators are called
one after the other in groups with as much data as a network: called again and again alone, an
operator would find its tensors in the fastest cache, where a network rarely leaves them.
"""

import gc
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from cost_models.counting.operator_call import Operator
from cost_models.counting.replay import replay
from cost_models.executors.csr_operators import csr_call
from cost_models.executors.executor import Call, Clock
from cost_models.profiling.running_minima import KEPT, RunningMinima

_GROUP = 40  # operators: about as many as a network has, so that caches are as full
_TURNS = 5
_NETWORK_TURNS = KEPT  # a first and a second pass then give each half of the run its figure
_CLOCK_READS = 200


class Timer:
    """Times networks and operators in passes; `networks` and `operators` hold what was found.

    `device_clock` times the calls of a device that works beside this process, by whole networks;
    None is this process's own time.
    """

    def __init__(
        self,
        networks: Sequence[Call],
        operators: Sequence[Operator],
        *,
        threads: int,
        seed: int,
        device_clock: Clock | None = None,
    ) -> None:
        self._calls = list(networks)
        self._operators = list(operators)
        self._threads = threads
        self._order = random.Random(seed)
        self._values = torch.Generator().manual_seed(seed)
        # CPU time leaves out what other processes took; of several threads it would be the sum.
        self._clock = time.process_time_ns if threads == 1 else time.perf_counter_ns
        self._device_clock = device_clock
        self.networks = RunningMinima(len(networks))
        self.operators = RunningMinima(len(operators))
        self.passes = 0

    @property
    def clock(self) -> str:
        """What the seconds are of."""
        if self._device_clock is not None:
            return "the device's own time"
        return "process CPU time" if self._threads == 1 else "wall time"

    def resume(self, networks: RunningMinima, operators: RunningMinima, passes: int) -> None:
        """Go on from what an interrupted run had found."""
        self.networks, self.operators, self.passes = networks, operators, passes

    def run_pass(self) -> None:
        """Time everything once more."""
        half = self.passes % 2
        with _undisturbed(self._threads), torch.inference_mode():
            cost = 0.0 if self._device_clock else self._clock_cost_s()
            self._time_networks(half, cost)
            self._time_operators(half, cost)
        self.passes += 1

    def _time_networks(self, half: int, clock_cost_s: float) -> None:
        for index in self._shuffled(len(self._calls)):
            call = self._calls[index]
            call()  # its weights come back into the caches, as in use
            for _ in range(_NETWORK_TURNS):
                self.networks.add(index, half, self._seconds(call) - clock_cost_s)

    def _time_operators(self, half: int, clock_cost_s: float) -> None:
        order = self._shuffled(len(self._operators))
        for start in range(0, len(order), _GROUP):
            group = order[start : start + _GROUP]
            # Fresh tensors each pass: where in memory they lie changes an operator's time.
            calls = [(index, self._ready(self._operators[index])) for index in group]
            for _ in range(_TURNS):
                for index, call in calls:
                    self.operators.add(index, half, self._seconds(call) - clock_cost_s)

    def _ready(self, operator: Operator) -> Call:
        ready = replay if operator.kernel is None else csr_call
        return ready(operator, self._values)

    def _seconds(self, call: Call) -> float:
        if self._device_clock is not None:
            return self._device_clock(call, 1)[0]
        start = self._clock()
        call()
        return (self._clock() - start) * 1e-9

    def _clock_cost_s(self) -> float:
        return min(self._seconds(_nothing) for _ in range(_CLOCK_READS))

    def _shuffled(self, count: int) -> list[int]:
        order = list(range(count))
        self._order.shuffle(order)
        return order


def _nothing() -> None:
    return None


@contextmanager
def _undisturbed(threads: int) -> Iterator[None]:
    """Set the threads and keep the garbage collector away."""
    before, collected = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(threads)
    gc.disable()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if collected:
            gc.enable()
