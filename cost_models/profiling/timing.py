"""How long do these networks and operators take, all timed in turn on a machine that is not idle?

Everything takes its turn in every pass, so that a slow minute meets all of it. Operators are called
one after the other in groups with as much data as a network: called again and again alone, an
operator would find its tensors in the fastest cache, where a network rarely leaves them.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from cost_models.operator_call import Operator
from cost_models.profiling.lows import KEPT, Lows
from cost_models.replay import replay

Call = Callable[[], object]
_GROUP = 40  # operators: about as many as a network has, so that caches are as full
_TURNS = 5
_NETWORK_TURNS = KEPT  # a first and a second pass then give each half of the run its figure
_CLOCK_READS = 200


class Timer:
    """Times networks and operators in passes; `networks` and `operators` hold what was found."""

    def __init__(
        self, networks: Sequence[Call], operators: Sequence[Operator], *, threads: int, seed: int
    ) -> None:
        self._calls = list(networks)
        self._operators = list(operators)
        self._threads = threads
        self._order = random.Random(seed)
        self._values = torch.Generator().manual_seed(seed)
        # CPU time leaves out what other processes took; of several threads it would be the sum.
        self._clock = time.process_time_ns if threads == 1 else time.perf_counter_ns
        self.networks = Lows(len(networks))
        self.operators = Lows(len(operators))
        self.passes = 0

    @property
    def clock(self) -> str:
        """What the seconds are of."""
        return "process CPU time" if self._threads == 1 else "wall time"

    def resume(self, networks: Lows, operators: Lows, passes: int) -> None:
        """Go on from what an interrupted run had found."""
        self.networks, self.operators, self.passes = networks, operators, passes

    def run_pass(self) -> None:
        """Time everything once more."""
        half = self.passes % 2
        with _undisturbed(self._threads), torch.inference_mode():
            cost = self._clock_cost_s()
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
            calls = [(index, replay(self._operators[index], self._values)) for index in group]
            for _ in range(_TURNS):
                for index, call in calls:
                    self.operators.add(index, half, self._seconds(call) - clock_cost_s)

    def _seconds(self, call: Call) -> float:
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
