"""Latency measurement of a module's forward pass on a device of this machine.

Candidates are interleaved, so that a slow moment of the machine meets all of them. One thread by
default: on a busy machine a second one waits at barriers and triples the time.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cost_models.cost import Device
from cost_models.counting.module_state import untouched
from cost_models.errors import CostModelError, NoisyMeasurementError
from cost_models.executors import EXECUTORS
from cost_models.executors.executor import Call, Executor, Prepared
from cost_models.measurement import Measurement
from cost_models.measuring.availability import check_available
from cost_models.measuring.energy import EnergyMeter, energy_meter
from cost_models.registry import device_named

_WARM_UP_RUNS = 3
_SAMPLE_S = 1e-3  # shorter samples would measure the clock
_MIN_SAMPLES = 12
_ATTEMPTS = 3

ModuleAndInputs = tuple[nn.Module, tuple[Tensor, ...]]


def measure(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    device: str = "cpu",
    threads: int = 1,
    *,
    budget_s: float = 0.3,
    max_noise: float | None = 0.25,
) -> Measurement:
    """Time a module's forward pass in eval mode; see `measure_interleaved`.

    Example:
        >>> import torch
        >>> from cost_models import measure
        >>> module, inputs = torch.nn.Linear(8, 4), (torch.zeros(1, 8),)
        >>> found = measure(module, inputs, device="cpu", budget_s=0.01, max_noise=None)
        >>> 0 < found.low_s <= found.median_s <= found.high_s
        True
    """
    candidates = {"module": (module, example_inputs)}
    return measure_interleaved(
        candidates, device=device, threads=threads, budget_s=budget_s, max_noise=max_noise
    )["module"]


def measure_interleaved(
    candidates: Mapping[str, ModuleAndInputs],
    *,
    device: str = "cpu",
    threads: int = 1,
    budget_s: float = 0.3,
    max_noise: float | None = 0.25,
    meter: EnergyMeter | None = None,
) -> dict[str, Measurement]:
    """Time several modules turn by turn: eval and inference mode, after a warm-up.

    Each runs as the device's executor prepares it; one that translates the module compares the
    outputs with torch's before anything is timed.
    `budget_s` is about the time spent on each candidate; a network slower than a twelfth of it
    takes longer, as 12 samples are the fewest. When the repeats of one differ by more than
    `max_noise` all are measured again, twice as long, up to twice; None accepts any noise.
    Energy is read around every sample, from `meter` or the device's own counter, where there is
    one. Modules, the number of torch threads and the random state are left as they were.

    Raises:
        NoisyMeasurementError: the repeats still disagree; the message gives the figure.
        UnknownNameError: no such device.
        CostModelError: the device or a network cannot be measured here, a translated network does
            not compute what torch does, or an argument is out of range.

    Example:
        >>> import torch
        >>> from cost_models import measure_interleaved
        >>> inputs = (torch.zeros(1, 8),)
        >>> modules = {"narrow": torch.nn.Linear(8, 4), "wide": torch.nn.Linear(8, 64)}
        >>> found = measure_interleaved(
        ...     {name: (module, inputs) for name, module in modules.items()},
        ...     budget_s=0.01,
        ...     max_noise=None,
        ... )
        >>> list(found), found["wide"].batch_size
        (['narrow', 'wide'], 1)
    """
    target = _measured_device(device)
    executor = EXECUTORS[target.executor or ""]
    _check(candidates, executor, device, threads, budget_s)
    meter = meter or energy_meter(target.needs.accelerator)
    with ExitStack() as stack:
        stack.enter_context(_threads(threads))
        runs = {}
        for name, (module, inputs) in candidates.items():
            prepared = executor.prepare(stack.enter_context(untouched(module)), inputs, threads)
            runs[name] = _Run.warmed_up(prepared, inputs)
        for attempt in range(_ATTEMPTS):
            _sample_all(runs, budget_s * 2**attempt, meter)
            found = {name: run.measurement(device, threads) for name, run in runs.items()}
            noisiest = max(found, key=lambda name: found[name].noise)
            if max_noise is None or found[noisiest].noise <= max_noise:
                return found
    raise NoisyMeasurementError(
        f"{noisiest}: repeats differ by {found[noisiest].noise:.1%} of {found[noisiest].low_s:.3g} "
        f"s after {_ATTEMPTS} attempts, above max_noise = {max_noise:.1%}; stop other work on "
        "this machine (MachineLock.exclusive pauses our own trials) or raise max_noise"
    )


def _measured_device(name: str) -> Device:
    device = device_named(name)
    if device.kind != "measured":
        raise CostModelError(
            f"device {name!r} is {device.kind}, not measured: call "
            f"cost_models.estimate(workload, device={name!r})"
        )
    check_available(device)
    return device


def _check(
    candidates: Mapping[str, ModuleAndInputs],
    executor: Executor,
    device: str,
    threads: int,
    budget_s: float,
) -> None:
    if not candidates:
        raise CostModelError("candidates is empty: give at least one module to measure")
    if threads < 1 or not budget_s > 0:
        raise CostModelError(
            f"threads = {threads}, budget_s = {budget_s}: need at least 1 thread and more than 0 s"
        )
    for name, (module, inputs) in candidates.items():
        if not inputs or not isinstance(inputs, tuple):
            raise CostModelError(f"{name}: example_inputs must be a non-empty tuple of tensors")
        for tensor in [*inputs, *module.parameters()]:
            if tensor.device.type not in executor.accepts:
                raise CostModelError(
                    f"{name}: a tensor is on {tensor.device}, to be measured on {device}; move it"
                )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One candidate, warmed up: `repeats` passes make one sample."""

    prepared: Prepared
    batch_size: int
    repeats: int = 1
    sample_s: float = 0.0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    @classmethod
    def warmed_up(cls, prepared: Prepared, inputs: tuple[Tensor, ...]) -> "_Run":
        run = cls(prepared=prepared, batch_size=inputs[0].shape[0] if inputs[0].dim() else 1)
        with torch.inference_mode():
            seconds = min(run.timed()[0] for _ in range(_WARM_UP_RUNS))
        run.repeats = max(1, round(_SAMPLE_S / max(seconds, 1e-7) + 0.5))
        run.sample_s = seconds * run.repeats
        return run

    def timed(self) -> tuple[float, float]:
        clock = self.prepared.clock or _timed
        return clock(self.prepared.call, self.repeats)

    def count(self, budget_s: float) -> int:
        return max(_MIN_SAMPLES, int(budget_s / self.sample_s))

    def sample(self, meter: EnergyMeter | None) -> None:
        before = meter.read() if meter else {}
        wall, cpu = self.timed()
        self.wall.append(wall)
        self.cpu.append(cpu)
        if meter:
            self.joules.append(meter.joules(before, meter.read()) / self.repeats)

    def clear(self) -> None:
        for samples in (self.wall, self.cpu, self.joules):
            samples.clear()

    def measurement(self, device: str, threads: int) -> Measurement:
        return Measurement(
            device=device,
            threads=threads,
            batch_size=self.batch_size,
            repeats=self.repeats,
            samples_s=tuple(self.wall),
            cpu_samples_s=tuple(self.cpu),
            torch_version=torch.__version__,
            runtime=self.prepared.runtime,
            choices=self.prepared.choices,
            energy_j=sum(self.joules) / len(self.joules) if self.joules else None,
        )


def _sample_all(runs: Mapping[str, _Run], budget_s: float, meter: EnergyMeter | None) -> None:
    """Sample turn by turn, afresh; each candidate's turns are spread over the whole run."""
    counts = {name: run.count(budget_s) for name, run in runs.items()}
    most = max(counts.values())
    for run in runs.values():
        run.clear()
    with torch.inference_mode():
        for turn in range(most):
            for name, run in runs.items():
                # Turns where the candidate's share of samples reaches the next whole number.
                if (turn + 1) * counts[name] // most > turn * counts[name] // most:
                    run.sample(meter)


def _timed(call: Call, repeats: int) -> tuple[float, float]:
    """Seconds of wall time and of process CPU time for one call, the mean of `repeats`."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats
