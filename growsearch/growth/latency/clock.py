"""Device clock: seconds of networks on a device, asked of its model or timed on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from cost_models import (
    DEVICES,
    CostModelError,
    MachineLock,
    Measurement,
    estimate,
    measure_interleaved,
    trace,
)
from growsearch.errors import GrowsearchError
from search_spaces import Architecture, SearchSpace, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Seconds for one forward pass of a batch, and the relative spread of repeats (0.05 is 5 %).

    An analytic device repeats itself exactly.
    """

    seconds: float
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClock:
    """Times networks of ``space`` on a device; weights do not matter, so they are built afresh.

    A processor is read by the CPU time of one thread, which on an idle machine is the wall time,
    and on a busy one still nearly so. ``lock`` is held while a device is timed, so that training on
    the same machine waits.

    Raises:
        GrowsearchError: where the device cannot be asked: it is not here, or knows no such layer.
    """

    space: SearchSpace
    device: str
    batch_size: int
    lock: MachineLock | None = None

    @property
    def analytic(self) -> bool:
        """Whether the device's times are computed, so that they hold no noise."""
        return DEVICES[self.device].kind == "analytic"

    def read(self, architectures: Sequence[Architecture], reading_s: float) -> list[Reading]:
        """Return one reading a network; a measured device runs each for ``reading_s``, in turns."""
        try:
            with seeded(0):
                modules = [self.space.build(each).eval() for each in architectures]
            if self.analytic:
                return [self._estimated(module) for module in modules]
            return self._measured(modules, reading_s)
        except CostModelError as error:
            raise GrowsearchError(f"latency[{self.device}]: {error}") from error

    def _estimated(self, module: nn.Module) -> Reading:
        cost = estimate(
            trace(module, self.space.example_inputs()),
            device=self.device,
            batch_size=self.batch_size,
            phase="inference",
        )
        return Reading(seconds=cost.latency_s, noise=0.0)

    def _measured(self, modules: Sequence[nn.Module], reading_s: float) -> list[Reading]:
        inputs = self.space.example_inputs(self.batch_size)
        candidates = {str(index): (module, inputs) for index, module in enumerate(modules)}
        with self._alone():
            # A reading in the middle of a run must not end it: the noise is reported instead.
            found = measure_interleaved(
                candidates, device=self.device, threads=1, budget_s=reading_s, max_noise=None
            )
        accelerated = DEVICES[self.device].needs.accelerator is not None
        return [_reading(measurement, wall=accelerated) for measurement in found.values()]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.lock is None:
            yield
            return
        # The end of an epoch is a shared section, like a training step.
        with self.lock.released(), self.lock.exclusive():
            yield


def _reading(measurement: Measurement, *, wall: bool) -> Reading:
    from cost_models.measurement import repeat_noise

    samples = measurement.samples_s if wall else measurement.cpu_samples_s
    seconds = measurement.low_s if wall else measurement.cpu_time_s
    return Reading(seconds=seconds, noise=repeat_noise(samples))
