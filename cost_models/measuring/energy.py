"""Energy meters: how much energy did a stretch of work take, where this machine can say?

Two counters are read: RAPL for Intel and AMD processors (the kernel's powercap files) and NVML for
NVIDIA GPUs. Both count the whole package or board, so other work on it is counted too.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")

CounterValues = Mapping[str, int]


class EnergyMeter(Protocol):
    """A running counter of energy."""

    def read(self) -> CounterValues:
        """Read the counters now, by name."""
        ...

    def joules(self, before: CounterValues, after: CounterValues) -> float:
        """Energy in joules that was used between two readings."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RaplMeter:
    """Processor packages of the powercap folder: path of each energy file, and its range.

    The counters are in microjoules and start again from 0 past their range.

    Example:
        >>> from pathlib import Path
        >>> from cost_models import RaplMeter
        >>> _ = Path("energy_uj").write_text("1000000")
        >>> meter = RaplMeter(files={"package": Path("energy_uj")}, ranges_uj={"package": 2**32})
        >>> before = meter.read()
        >>> _ = Path("energy_uj").write_text("3500000")
        >>> meter.joules(before, meter.read())
        2.5
    """

    files: Mapping[str, Path]
    ranges_uj: Mapping[str, int]

    @classmethod
    def find(cls, powercap: Path = POWERCAP) -> "RaplMeter | None":
        """Give a meter of the packages whose files may be read; None when there is none."""
        files, ranges = {}, {}
        for domain in sorted(powercap.glob("intel-rapl:*")):
            try:
                # "package-0"; its cores and memory are domains of their own, counted already.
                if not (domain / "name").read_text().startswith("package"):
                    continue
                int((domain / "energy_uj").read_text())
                ranges[domain.name] = int((domain / "max_energy_range_uj").read_text())
            except (OSError, ValueError):
                continue  # readable by root only on most systems
            files[domain.name] = domain / "energy_uj"
        return cls(files=files, ranges_uj=ranges) if files else None

    def read(self) -> CounterValues:
        """Read each package's counter in microjoules."""
        return {name: int(path.read_text()) for name, path in self.files.items()}

    def joules(self, before: CounterValues, after: CounterValues) -> float:
        """Sum over packages; a counter that went down has passed its range once."""
        used = 0
        for name, start in before.items():
            moved = after[name] - start
            used += moved if moved >= 0 else moved + self.ranges_uj[name]
        return used / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlMeter:
    """The counter of the GPU that torch uses first, which NVML gives in millijoules."""

    nvml: Any  # the module pynvml, which has no types
    handle: Any

    @classmethod
    def find(cls) -> "NvmlMeter | None":
        """Give a meter of torch's first GPU; None without one, pynvml or the counter."""
        if importlib.util.find_spec("pynvml") is None:
            return None
        import pynvml
        import torch

        if not torch.cuda.is_available():
            return None
        # By its id: NVML numbers all GPUs of the host, torch those that it may see.
        uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
        try:
            pynvml.nvmlInit()
            meter = cls(nvml=pynvml, handle=pynvml.nvmlDeviceGetHandleByUUID(uuid))
            meter.read()
        except pynvml.NVMLError:
            return None
        return meter

    def read(self) -> CounterValues:
        """Read the board's counter in millijoules."""
        return {"gpu": self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)}

    def joules(self, before: CounterValues, after: CounterValues) -> float:
        """Difference of the readings."""
        return (after["gpu"] - before["gpu"]) / 1e3


def energy_meter(accelerator: str | None = None, powercap: Path = POWERCAP) -> EnergyMeter | None:
    """Give the meter of the processor, or of the GPU for accelerator "cuda"; None without one.

    Example:
        >>> from pathlib import Path
        >>> from cost_models import energy_meter
        >>> print(energy_meter(powercap=Path("no such folder")))
        None
    """
    return NvmlMeter.find() if accelerator == "cuda" else RaplMeter.find(powercap)
