"""Measurement: samples of a time or energy, their quantiles, and how far repeats agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cost_models.cost import Cost
from cost_models.errors import CostModelError

LOW, HIGH = 0.2, 0.8
_BLOCKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Seconds of wall time for one forward pass of the whole batch.

    `samples_s` are means over `repeats` passes each. `low_s` (20 % quantile) is the figure least
    disturbed by other work on the machine, `high_s` the 80 % quantile. `cpu_time_s` is the 20 %
    quantile of the process's CPU time. `noise` is the spread of `low_s` between quarters of the
    run, relative to `low_s`: how far a repeat would land from it. `runtime` names what ran the
    network; `choices` how each layer with zeros was run, where the runtime chooses. `energy_j` is
    the mean of a pass, that of other work on the machine included; None without a counter.

    Example:
        >>> from cost_models import Measurement
        >>> found = Measurement(
        ...     device="cpu",
        ...     threads=1,
        ...     batch_size=8,
        ...     repeats=1,
        ...     samples_s=(0.002, 0.001, 0.003, 0.002),
        ...     cpu_samples_s=(0.001, 0.001, 0.001, 0.001),
        ...     torch_version="2.13",
        ... )
        >>> found.low_s, found.median_s, found.to_cost().interval
        (0.001, 0.002, (0.001, 0.003))
    """

    device: str
    threads: int
    batch_size: int
    repeats: int
    samples_s: tuple[float, ...]
    cpu_samples_s: tuple[float, ...]
    torch_version: str
    runtime: str = "torch eager"
    choices: Mapping[str, str] = field(default_factory=dict)
    energy_j: float | None = None

    def __post_init__(self) -> None:
        if len(self.samples_s) < _BLOCKS or len(self.samples_s) != len(self.cpu_samples_s):
            raise CostModelError(
                f"{len(self.samples_s)} wall and {len(self.cpu_samples_s)} CPU samples: need as "
                f"many of each, and at least {_BLOCKS}"
            )

    @property
    def median_s(self) -> float:
        """The middle of the samples."""
        return quantile(self.samples_s, 0.5)

    @property
    def low_s(self) -> float:
        """The 20 % quantile of the samples: the one to compare networks by."""
        return quantile(self.samples_s, LOW)

    @property
    def high_s(self) -> float:
        """The 80 % quantile of the samples."""
        return quantile(self.samples_s, HIGH)

    @property
    def cpu_time_s(self) -> float:
        """The 20 % quantile of the process's CPU time."""
        return quantile(self.cpu_samples_s, LOW)

    @property
    def noise(self) -> float:
        """Relative spread of the low quantile between quarters of the run; 0.05 is 5 %."""
        return repeat_noise(self.samples_s)

    def to_cost(self) -> Cost:
        """Give the measurement as the cost of one inference step on this batch."""
        return Cost(
            latency_s=self.median_s,
            interval=(self.low_s, self.high_s),
            method="measured",
            note=f"measured, {self.runtime}, {self.threads} thread(s), "
            f"repeat noise {self.noise:.1%}",
            device=self.device,
            batch_size=self.batch_size,
            phase="inference",
            energy_j=self.energy_j,
        )


def quantile(samples: Sequence[float], fraction: float) -> float:
    """Give the sample that `fraction` of the samples lie at or below: one that did occur."""
    return float(np.quantile(samples, fraction, method="inverted_cdf"))


def repeat_noise(samples: Sequence[float]) -> float:
    """Relative spread (max - min) / overall of the low quantile over consecutive quarters."""
    lows = [quantile(block.tolist(), LOW) for block in np.array_split(samples, _BLOCKS)]
    return (max(lows) - min(lows)) / quantile(samples, LOW)
