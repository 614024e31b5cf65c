"""Costs, devices and the contract of a cost model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cost_models.counting.sparsity_pattern import NOfMWeight
from cost_models.counting.workload import Workload
from cost_models.errors import CostModelError

Phase = Literal["inference", "training"]
PHASES: tuple[Phase, ...] = ("inference", "training")
# "fitted": predicted from timings of other networks on that very device.
Method = Literal["analytic", "measured", "fitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one step on a batch costs; `note` says how far the figures can be trusted.

    `interval` is (low_s, high_s) around `latency_s`. MACs are for the whole batch and phase:
    dense, effective (zeros skipped) and realisable (the device's zeros really skipped).
    `breakdown_s` splits `latency_s` by what the time is spent on, `layers_s` gives the part of
    every layer of the workload, in its order. None means not known.
    """

    latency_s: float
    interval: tuple[float, float]
    method: Method
    note: str
    device: str
    batch_size: int
    phase: Phase
    energy_j: float | None = None
    memory_bytes: int | None = None
    dense_macs: int | None = None
    effective_macs: int | None = None
    realisable_macs: float | None = None
    breakdown_s: Mapping[str, float] = field(default_factory=dict)
    layers_s: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        low, high = self.interval
        if not 0 <= low <= self.latency_s <= high:
            raise CostModelError(
                f"Cost.interval = {self.interval}: must hold latency_s = {self.latency_s}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One number that describes a device, with its unit and the public place it comes from."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPoint:
    """A published relative time: of a network widened at `sparsity`, against the dense one."""

    sparsity: float
    relative_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a device asks for: importable packages, which an extra installs, and hardware.

    `accelerator` is a processor beside the host's, `arithmetic` one that the host's must have.
    """

    packages: tuple[str, ...] = ()
    extra: str | None = None
    accelerator: Literal["cuda"] | None = None
    arithmetic: Literal["bfloat16"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedZeros:
    """Whose zeros a measured device does not compute: none, unless `kinds` names layers.

    A layer of such a kind skips what `pattern` makes zero if its weight has the pattern. With
    `timed`, the executor chooses the layers and skips all their zeros.
    """

    kinds: tuple[str, ...] = ()
    pattern: NOfMWeight | None = None
    timed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A machine that a network may run on.

    A measured device is timed and names its executor; an analytic one names the cost model that
    estimates it. `needs` says what this process must have to measure it, `skips` whose zeros
    it does not compute.

    Example:
        >>> from cost_models import DEVICES
        >>> DEVICES["wafer-cs2"].kind
        'analytic'
    """

    name: str
    kind: Method
    description: str
    cost_model: str | None = None
    executor: str | None = None
    needs: Needs = Needs()
    skips: SkippedZeros = SkippedZeros()
    constants: Mapping[str, Constant] = field(default_factory=dict)
    calibration: tuple[CalibrationPoint, ...] = ()

    def constant(self, name: str) -> float:
        """Give a constant's value; raises `CostModelError` when the device does not have it."""
        if name not in self.constants:
            raise CostModelError(
                f"device {self.name!r} has no constant {name!r}; it has: "
                f"{', '.join(sorted(self.constants)) or 'none'}. Add it to its data file"
            )
        return self.constants[name].value


class CostModel(Protocol):
    """Estimates cost without running anything; raises `UnsupportedLayerError`, never guesses."""

    def estimate(
        self, workload: Workload, device: Device, *, batch_size: int, phase: Phase
    ) -> Cost:
        """Estimate one step of `batch_size` examples in `phase` on `device`."""
        ...
