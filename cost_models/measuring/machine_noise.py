"""Machine noise: how far can a time that is measured on this machine now be trusted?

Two kernels that always do the same work are timed again and again, turn by turn: one that only
computes, one that only moves memory. Whatever their times differ by is the machine's doing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from cost_models.errors import CostModelError
from cost_models.measurement import LOW, quantile, repeat_noise

_SAMPLE_S = 2e-3
_MIN_TURNS = 16
_SIDE = 192  # three such matrices stay in a core's cache
_COPIED_BYTES = 2**24  # more than a core's cache holds
# Beyond these the figures of a search would rank networks by chance.
_QUIET_DIFFERENCE = 0.05
_QUIET_WAITING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelNoise:
    """How one kernel's equal samples differ.

    `low_s` is the 20 % quantile of wall seconds, `repeat_noise` its relative spread between
    quarters of the run, `slow_down` the median over `low_s`, and `waiting` the share of the wall
    time in which the process had no processor, all samples together.
    """

    name: str
    low_s: float
    repeat_noise: float
    cpu_repeat_noise: float
    slow_down: float
    waiting: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNoise:
    """What the kernels say about the machine; `verdict` says it in words."""

    kernels: tuple[KernelNoise, ...]
    samples: int
    threads: int

    @property
    def smallest_difference(self) -> float:
        """Relative difference of two wall times below which it may be chance; 0.05 is 5 %."""
        return max(kernel.repeat_noise for kernel in self.kernels)

    @property
    def smallest_cpu_difference(self) -> float:
        """The same for the process's CPU time."""
        return max(kernel.cpu_repeat_noise for kernel in self.kernels)

    @property
    def waiting(self) -> float:
        """Share of the time that other programs had this process's processor, at worst."""
        return max(kernel.waiting for kernel in self.kernels)

    @property
    def quiet(self) -> bool:
        """Say whether differences of 5 % are real and the process hardly waits."""
        return self.smallest_difference <= _QUIET_DIFFERENCE and self.waiting <= _QUIET_WAITING

    @property
    def verdict(self) -> str:
        """One sentence for a person."""
        state = "quiet" if self.quiet else "disturbed"
        remedy = "" if self.quiet else "; stop other programs, or compare CPU times only"
        return (
            f"{state}: wall times that differ by less than {self.smallest_difference:.1%} (CPU "
            f"times: {self.smallest_cpu_difference:.1%}) may be equal, and the process waited "
            f"{self.waiting:.0%} of the time for a processor{remedy}"
        )


def host_noise(budget_s: float = 2.0, threads: int = 1) -> HostNoise:
    """Time the two kernels for about `budget_s` seconds of wall time.

    Raises:
        CostModelError: `budget_s` is not above 0, or `threads` below 1.

    Example:
        >>> from cost_models import host_noise
        >>> noise = host_noise(budget_s=0.01)
        >>> noise.verdict.split(":")[0] in ("quiet", "disturbed")
        True
    """
    if threads < 1 or not budget_s > 0:
        raise CostModelError(
            f"threads = {threads}, budget_s = {budget_s}: need at least 1 thread and more than 0 s"
        )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            return _measured(budget_s, threads)
    finally:
        torch.set_num_threads(before)


def _measured(budget_s: float, threads: int) -> HostNoise:
    kernels = {"compute": _compute(), "memory": _memory()}
    repeats = {name: _calibrated(kernel) for name, kernel in kernels.items()}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in kernels}
    deadline, turns = time.perf_counter() + budget_s, 0
    while turns < _MIN_TURNS or time.perf_counter() < deadline:
        for name, kernel in kernels.items():
            samples[name].append(_timed(kernel, repeats[name]))
        turns += 1
    noises = tuple(kernel_noise(name, taken) for name, taken in samples.items())
    return HostNoise(kernels=noises, samples=turns, threads=threads)


def kernel_noise(name: str, samples: list[tuple[float, float]]) -> KernelNoise:
    """Summarise (wall, CPU) seconds of equal samples, in the order they were taken."""
    wall = [sample[0] for sample in samples]
    cpu = [sample[1] for sample in samples]
    low = quantile(wall, LOW)
    return KernelNoise(
        name=name,
        low_s=low,
        repeat_noise=repeat_noise(wall),
        cpu_repeat_noise=repeat_noise(cpu),
        slow_down=quantile(wall, 0.5) / low,
        # Several threads use more CPU than wall time: none of it was waiting.
        waiting=max(0.0, 1 - sum(cpu) / sum(wall)),
    )


def _compute() -> Callable[[], object]:
    matrix = torch.full((_SIDE, _SIDE), 1.0 / _SIDE)
    product = torch.empty_like(matrix)
    return lambda: torch.mm(matrix, matrix, out=product)


def _memory() -> Callable[[], object]:
    source = torch.ones(_COPIED_BYTES // 4)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _calibrated(kernel: Callable[[], object]) -> int:
    """Give how many calls make a sample long enough for the clock."""
    seconds = min(_timed(kernel, 1)[0] for _ in range(5))
    return max(1, round(_SAMPLE_S / max(seconds, 1e-7)))


def _timed(kernel: Callable[[], object], repeats: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        kernel()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats
