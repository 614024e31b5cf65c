"""Latency model of the device that a network is grown for: a fit that the device corrects.

The fit makes a time of any sizes at once, so that every step can penalise indicators with what they
cost on the device. What it misses is taken out by one factor, from the device's own time of the
network that a run has come to.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cost_models import MachineLock
from growsearch.growth.budget.budget import Budget
from growsearch.growth.budget.structures import Structures
from growsearch.growth.latency.clock import DeviceClock
from growsearch.growth.latency.features import latency_features
from growsearch.growth.latency.networks import architecture_at
from growsearch.growth.latency.width_latency_fit import WidthLatencyFit
from search_spaces import Architecture, ChannelGroup, SearchSpace, Unit

# How often the device is asked about the network of one restructuring until both agree: on the
# way, and where the structure is final.
_ROUNDS = {False: 4, True: 8}
# How much slower the device is taken to be where its own answer is not enough, and how much
# faster where wider networks may fit that lie behind a step.
_FURTHER, _BEYOND = 1.05, 0.9
# Seconds for which a network is run on the way, and where the structure is final.
_READING_S, _LONG_READING_S = 0.4, 1.5
# A network that spends so much of the budget is not worth another try.
_ENOUGH = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """How a latency budget asks its device, and where the answers are kept.

    ``lock`` is held while a device is timed. ``file`` receives the fit, or, if it is ``known``,
    gives it back: a run that goes on keeps its measure of the device.
    """

    lock: MachineLock | None = None
    file: Path | None = None
    known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """What a latency budget came to, in seconds for a batch of ``batch_size`` on ``device``.

    ``predicted_s`` is the corrected fit's, ``checked_s`` the device's own for the finished network,
    with a repeat ``noise``. A measured device is checked beside a reference network, so that a
    machine that is faster or slower now (``drift`` is 1.1 where it takes 10 % longer) does not pass
    for another network: shares are of its speed at the start, seconds of the fastest that was seen.
    ``fit_error`` is the uncorrected fit's mean relative miss of networks that it was not fitted to.
    """

    device: str
    batch_size: int
    method: str
    predicted_s: float
    checked_s: float
    noise: float
    drift: float
    fit_error: float


class LatencyModel:
    """The cost function of a latency budget, in seconds; `agreed` corrects its ``factor``."""

    def __init__(
        self,
        clock: DeviceClock,
        fitted: WidthLatencyFit,
        structures: Structures,
        units: tuple[Unit, ...],
        budget: Budget,
        *,
        holding: str = "",
    ) -> None:
        self.fitted = fitted
        self.factor = 1.0
        self._relative = budget.latency_s is None
        self.limit = budget.limit(full=fitted.full_s, least=fitted.least_s, holding=holding)
        self._clock, self._structures, self._units = clock, structures, units
        # Timed beside every network that is checked. A share is of the full network: a machine that
        # is slower just now is not slower by one factor for networks of all sizes. Beside seconds,
        # one of about the size that the run ends with tells how much slower it is for such.
        self._reference = fitted.nearest(fitted.full_s if self._relative else self.limit)
        self._reference_s = fitted.seconds[self._reference]

    def exact(self, sizes: Sequence[int]) -> float:
        """Return the predicted seconds of the network with these sizes."""
        return self.factor * self.fitted.terms.seconds(sizes)

    def expected(self, sizes: Sequence[float]) -> float:
        """Return the predicted seconds at mean sizes."""
        return self.factor * self.fitted.terms.seconds(sizes)

    def marginals(self, sizes: Sequence[float]) -> npt.NDArray[np.float64]:
        """Return the seconds that one more structure of each name costs; sizes are above 0."""
        return self.factor * self.fitted.terms.marginals(sizes)

    def state(self) -> Tensor:
        """Return what changes over a run, for a checkpoint."""
        return torch.tensor([self.factor, self._reference_s], dtype=torch.float64)

    def load_state(self, state: Tensor) -> None:
        """Take back what `state` returned."""
        self.factor, self._reference_s = state.tolist()

    def agreed(self, propose: Callable[[], Tensor], *, fill: bool) -> Tensor:
        """Return a network (total,) that keeps the limit, with the fit corrected at that network.

        ``propose`` makes a network of the present factor. The device is asked about it and the
        factor set right, and so again, until the network is within the limit and, with ``fill``,
        spends nearly all of it. Where none does, it is the largest that was found within the limit,
        and where none is, the fastest.
        """
        tried: list[_Tried] = []
        # Factors of which networks were too slow, and fitted: a step of the device (a width that
        # its kernels like, or do not) may lie between, so that the middle is asked about.
        slow, fitting, fastest = 0.0, math.inf, math.inf
        for _ in range(_ROUNDS[fill]):
            asked = self.factor
            fastest = min(fastest, asked)
            live = propose()
            found, again = self._try(live, tried, _LONG_READING_S if fill else _READING_S)
            self.factor, share = found.factor, found.seconds / self.limit
            if share <= 1 and (not fill or share >= _ENOUGH or bool(live.all())):
                return live
            if share <= 1:
                fitting = min(fitting, asked)
            else:
                slow = max(slow, asked)
            if again and fill:
                slow, self.factor = 0.0, fastest * _BEYOND
            elif not slow < self.factor < fitting:
                self.factor = math.sqrt(slow * fitting) if fitting < math.inf else slow * _FURTHER
        best = _best(tried, self.limit)
        self.factor = best.factor
        return best.live

    def _try(self, live: Tensor, tried: list[_Tried], reading_s: float) -> tuple[_Tried, bool]:
        """Return the device's answer about a network, and whether it was asked before.

        Of several answers about one network the middle one counts.
        """
        sizes = self._structures.counts(live)
        seconds, _, _ = self._ask(self._architecture(sizes), reading_s)
        known = next((one for one in tried if bool((one.live == live).all())), None)
        if known is None:
            found = _Tried(live=live, readings=[seconds], fitted=self.fitted.terms.seconds(sizes))
            tried.append(found)
            return found, False
        known.readings.append(seconds)
        return known, True

    def report(self, architecture: Architecture, live: Tensor) -> LatencyReport:
        """Ask the device about the finished network."""
        seconds, noise, drift = self._ask(architecture, _LONG_READING_S)
        return LatencyReport(
            device=self.fitted.device,
            batch_size=self.fitted.batch_size,
            method="analytic" if self._clock.analytic else "measured",
            predicted_s=self.exact(self._structures.counts(live)),
            checked_s=seconds,
            noise=noise,
            drift=drift,
            fit_error=self.fitted.error,
        )

    def _ask(self, architecture: Architecture, reading_s: float) -> tuple[float, float, float]:
        """Return comparable seconds, their noise, and how much slower the device is just now."""
        if self._clock.analytic:
            (reading,) = self._clock.read([architecture], reading_s)
            return reading.seconds, 0.0, 1.0
        reference = self._architecture(self.fitted.sizes[self._reference])
        reading, beside = self._clock.read([architecture, reference], reading_s)
        if not self._relative:
            self._reference_s = min(self._reference_s, beside.seconds)
        drift = beside.seconds / self._reference_s
        return reading.seconds / drift, max(reading.noise, beside.noise), drift

    def _architecture(self, sizes: Sequence[int]) -> Architecture:
        named = dict(zip(self._structures.names, sizes, strict=True))
        return architecture_at(self._clock.space, self._units, named)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """A network that the device was asked about; ``fitted`` are the uncorrected fit's seconds."""

    live: Tensor
    readings: list[float]
    fitted: float

    @property
    def seconds(self) -> float:
        return statistics.median(self.readings)

    @property
    def factor(self) -> float:
        return self.seconds / self.fitted


def _best(tried: Sequence[_Tried], limit: float) -> _Tried:
    """Return the largest network within the limit, and where none is, the fastest."""
    within = [one for one in tried if one.seconds <= limit]
    if within:
        return max(within, key=lambda one: one.fitted)
    return min(tried, key=lambda one: one.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """A full network and what of it may change.

    Attributes:
        space: which networks there are.
        model: its full configuration.
        structures: the channels of ``groups``, and the units that may be detached.
        groups: those of which channels may go.
        units: all that the model declares.
        holding: what keeps its width, in the message of a budget that is too small.
    """

    space: SearchSpace
    model: nn.Module
    structures: Structures
    groups: tuple[ChannelGroup, ...]
    units: tuple[Unit, ...]
    holding: str = ""


def latency_model(network: Changing, budget: Budget, latencies: Latencies) -> LatencyModel:
    """Profile the budget's device for a network.

    Raises:
        UsageError: if the budget is below the least network's time.
        GrowsearchError: if the device cannot be asked, or the kept fit cannot be read.
    """
    assert budget.device is not None
    structures = network.structures
    clock = DeviceClock(
        space=network.space, device=budget.device, batch_size=budget.batch_size, lock=latencies.lock
    )
    if latencies.known and latencies.file is not None:
        fitted = WidthLatencyFit.load(latencies.file)
    else:
        growing = tuple(u for u in network.units if u.name in structures.inside)
        example_inputs = network.space.example_inputs()
        features = latency_features(network.model, network.groups, example_inputs, growing)
        fitted = WidthLatencyFit.measure(clock, features, structures, network.units)
        if latencies.file is not None:
            fitted.save(latencies.file)
    return LatencyModel(clock, fitted, structures, network.units, budget, holding=network.holding)
