"""Latency profile: how long would a network take on a device profiled here or elsewhere?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cost_models.cost import Cost, Device, Phase
from cost_models.counting.operator_call import Operator
from cost_models.counting.workload import Workload
from cost_models.errors import ProfileError
from cost_models.profiling.calibration import MIN_NETWORKS, nonnegative_fit
from cost_models.profiling.counted_work import MIN_COUNTED_NETWORKS, CountedWork
from cost_models.profiling.host import machine_name
from cost_models.profiling.network_model import NetworkModel, NetworkTime
from cost_models.profiling.operator_sum import OperatorSum
from cost_models.profiling.prediction_error import PredictionError, prediction_error
from cost_models.profiling.records import ProfileRecord, Role, TimedNetwork
from cost_models.registry import DEVICES

MIN_VALIDATION_NETWORKS = 5
# Above this disagreement between the halves of the run, the file itself is called noisy.
QUIET = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The profile's predictions of networks it was not fitted on, beside two yardsticks.

    `macs_only` is a line through the MACs of the calibration networks; `repeat_noise` the mean
    relative difference between the two halves of the run.
    """

    profile: PredictionError
    macs_only: PredictionError
    repeat_noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCheck:
    """One validation network: predicted beside measured seconds."""

    network: TimedNetwork
    predicted_s: float
    macs_only_s: float


class LatencyProfile:
    """A device's latency model, fitted again from the timings that the profile holds.

    Pass it as `device` to `cost_models.estimate`. Estimates are of the machine that was profiled.
    """

    def __init__(self, record: ProfileRecord) -> None:
        _check_roles(record)
        self.record = record
        self.model: NetworkModel = (
            OperatorSum.fit(record) if record.operators else CountedWork.fit(record)
        )
        fitted_on = record.with_role("calibration")
        measured = np.array([net.low_s for net in fitted_on])
        macs = np.array([[net.macs * 1e-9, 1e-3] for net in fitted_on])
        self._macs_line = nonnegative_fit(macs, measured)

    @property
    def device(self) -> Device:
        """The device that was profiled."""
        conditions = self.record.conditions
        return Device(
            name=conditions.device,
            kind="fitted",
            description=f"{machine_name(conditions.host)}, profiled {conditions.created[:10]}",
        )

    def predict_s(self, operators: Sequence[Operator]) -> float:
        """Predict the seconds of a network that calls these operators.

        Raises:
            UnsupportedLayerError: none of an operator's kind was timed.
        """
        return self.model.predict(operators).seconds

    def estimate(
        self, workload: Workload, device: Device, *, batch_size: int, phase: Phase
    ) -> Cost:
        """Estimate one forward pass of a traced network; `note` says how far to trust it.

        `interval` holds 90 % of the validation networks' errors. It is wider for operators larger
        or smaller than those timed, and for a network slower or faster than those measured.

        Raises:
            ProfileError: another phase or batch size than was profiled, or the workload was not
                traced with this batch size.
            UnsupportedLayerError: none of an operator's kind was timed.
        """
        operators = self._operators(workload, batch_size, phase)
        found = self.model.predict(operators)
        dense = workload.dense_macs * batch_size
        return Cost(
            latency_s=found.seconds,
            interval=self._interval(found),
            method="fitted",
            note=self._note(found),
            device=device.name,
            batch_size=batch_size,
            phase=phase,
            dense_macs=dense,
            effective_macs=workload.effective_macs * batch_size,
            # Dense kernels compute with zeros like with other numbers.
            realisable_macs=dense if found.realisable_macs is None else found.realisable_macs,
            breakdown_s=found.breakdown_s,
            layers_s=_of_layers(found.layers_s, operators, workload),
        )

    @cached_property
    def validation(self) -> Validation:
        """How well the networks are predicted that nothing was fitted on."""
        checks = self.checks
        measured = [check.network.low_s for check in checks]
        halves = np.array([network.halves_s for network in self.record.networks])
        return Validation(
            profile=prediction_error([check.predicted_s for check in checks], measured),
            macs_only=prediction_error([check.macs_only_s for check in checks], measured),
            repeat_noise=float(np.mean(np.abs(halves[:, 1] / halves[:, 0] - 1))),
        )

    @cached_property
    def checks(self) -> tuple[NetworkCheck, ...]:
        """Each validation network, predicted beside measured."""
        slope, start = self._macs_line
        return tuple(
            NetworkCheck(
                network=network,
                predicted_s=self.predict_s(network.operators),
                macs_only_s=slope * network.macs * 1e-9 + start * 1e-3,
            )
            for network in self.record.with_role("validation")
        )

    def _operators(self, workload: Workload, batch_size: int, phase: Phase) -> tuple[Operator, ...]:
        conditions = self.record.conditions
        if phase != conditions.phase:
            raise ProfileError(
                f"phase = {phase!r}: the profile of {conditions.device} holds inference only; ask "
                'for phase="inference"'
            )
        if batch_size != conditions.batch_size:
            raise ProfileError(
                f"batch_size = {batch_size}: the profile of {conditions.device} was measured with "
                f"a batch of {conditions.batch_size}; profile again with --batch {batch_size}"
            )
        if workload.operators is None or workload.batch != batch_size:
            raise ProfileError(
                f"the workload was not traced with a batch of {batch_size}: call "
                "cost_models.trace with example inputs of this batch size"
            )
        return as_device_sees(workload.operators, conditions.device)

    def _interval(self, found: NetworkTime) -> tuple[float, float]:
        latency = found.seconds
        errors = self.validation.profile
        below, above = max(0.0, 1 - errors.low_ratio), max(0.0, errors.high_ratio - 1)
        # A rule of thumb: doubled for a network twice as slow, or as fast, as any measured.
        stretch = 1 + abs(math.log2(self._beyond(latency)))
        below, above = below * stretch + found.doubt, above * stretch + found.doubt
        return latency * max(0.0, 1 - below), latency * (1 + above)

    def _beyond(self, latency: float) -> float:
        """Give the ratio of the latency to the nearest that was measured; 1 between them."""
        measured = [network.low_s for network in self.record.networks]
        return latency / min(max(latency, min(measured)), max(measured))

    def _note(self, time: NetworkTime) -> str:
        conditions, found = self.record.conditions, self.validation
        runtime = conditions.host.get("runtime")
        parts = [
            f"fitted to {len(self.record.operators)} operators and "
            f"{len(self.record.with_role('calibration'))} networks on "
            f"{machine_name(conditions.host)}, "
            f"{f'{runtime}, ' if runtime else ''}{conditions.threads} thread(s), "
            f"{conditions.created[:10]}",
            f"{found.profile.networks} unseen networks: mean error {found.profile.mape:.1%}, "
            f"{found.profile.within_10:.0%} within 10 %, repeat noise {found.repeat_noise:.1%}",
        ]
        if found.repeat_noise > QUIET:
            parts.append("the machine was busy while it was profiled")
        if time.outside > 0:
            parts.append(
                f"{time.outside:.0%} of the time is spent in operators of sizes outside the "
                "profile: the interval is wider"
            )
        beyond = self._beyond(time.seconds)
        if beyond != 1:
            faster = "slower" if beyond > 1 else "faster"
            parts.append(f"{faster} than any network measured: the interval is wider")
        return "; ".join(parts)


def _of_layers(
    seconds: tuple[float, ...] | None, operators: Sequence[Operator], workload: Workload
) -> tuple[float, ...] | None:
    """Return the seconds of layers where each is one operator with its MACs, None elsewhere."""
    macs = [each.macs for each in operators if each.macs]
    wanted = [layer.dense_macs * workload.batch for layer in workload.layers]
    return seconds if macs == wanted else None


def as_device_sees(operators: Sequence[Operator], device: str) -> tuple[Operator, ...]:
    """Leave out the zeros, unless the device skips some: to others all numbers are alike."""
    if device in DEVICES and DEVICES[device].skips.kinds:
        return tuple(operators)
    return tuple(each.dense for each in operators)


def _check_roles(record: ProfileRecord) -> None:
    fitted_on = MIN_NETWORKS if record.operators else MIN_COUNTED_NETWORKS
    fewest: dict[Role, int] = {"calibration": fitted_on, "validation": MIN_VALIDATION_NETWORKS}
    for role, needed in fewest.items():
        count = len(record.with_role(role))
        if count < needed:
            raise ProfileError(
                f"{count} {role} networks: a profile needs at least {needed}; profile again with "
                f"--{'networks' if role == 'calibration' else 'validate'} {needed} or more"
            )
