"""How long would a network take on a device that was profiled, perhaps on another machine?"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cost_models.cost import Cost, Device, Phase
from cost_models.errors import ProfileError
from cost_models.operator_call import Operator
from cost_models.profiling.accuracy import Accuracy, accuracy
from cost_models.profiling.calibration import (
    FEWEST,
    Calibration,
    calibrate,
    network_parts,
    nonnegative_fit,
)
from cost_models.profiling.operator_model import OperatorModel, Prediction
from cost_models.profiling.records import ProfileRecord, Role, TimedNetwork
from cost_models.workload import Workload

FEWEST_VALIDATION = 5
# Above this disagreement between the halves of the run, the file itself is called noisy.
QUIET = 0.05
_Z_90 = 1.645  # 90 % of a normal distribution lie within so many deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The profile's predictions of networks it was not fitted on, beside two yardsticks.

    `macs_only` is a line through the MACs of the calibration networks; `repeat_noise` the mean
    relative difference between the two halves of the run.
    """

    profile: Accuracy
    macs_only: Accuracy
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
        timed = {each.operator: each.low_s for each in record.operators}
        self.operators = OperatorModel.fit(timed, record.scales)
        fitted_on = record.with_role("calibration")
        predicted = self.operators.predict(each for net in fitted_on for each in net.operators)
        parts = np.array([network_parts(net.operators, _seconds(predicted)) for net in fitted_on])
        measured = np.array([net.low_s for net in fitted_on])
        self.calibration: Calibration = calibrate(parts, measured)
        macs = np.array([[net.macs * 1e-9, 1e-3] for net in fitted_on])
        self._macs_line = nonnegative_fit(macs, measured)

    @property
    def device(self) -> Device:
        """The device that was profiled."""
        conditions = self.record.conditions
        return Device(
            name=conditions.device,
            kind="fitted",
            description=f"{conditions.host.get('processor', 'another machine')}, profiled "
            f"{conditions.created[:10]}",
        )

    def predict_s(self, operators: Sequence[Operator]) -> float:
        """Predict the seconds of a network that calls these operators.

        Raises:
            UnsupportedLayerError: none of an operator's kind was timed.
        """
        return self._predict(operators)[0]

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
        latency, predictions = self._predict(operators)
        outside = self._outside(operators, predictions)
        dense = workload.dense_macs * batch_size
        return Cost(
            latency_s=latency,
            interval=self._interval(latency, outside),
            method="fitted",
            note=self._note(latency, outside),
            device=device.name,
            batch_size=batch_size,
            phase=phase,
            dense_macs=dense,
            effective_macs=workload.effective_macs * batch_size,
            realisable_macs=dense,  # dense kernels compute with zeros like with other numbers
            breakdown_s=self._breakdown(operators, predictions),
        )

    @cached_property
    def validation(self) -> Validation:
        """How well the networks are predicted that nothing was fitted on."""
        checks = self.checks
        measured = [check.network.low_s for check in checks]
        halves = np.array([network.halves_s for network in self.record.networks])
        return Validation(
            profile=accuracy([check.predicted_s for check in checks], measured),
            macs_only=accuracy([check.macs_only_s for check in checks], measured),
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

    def _predict(self, operators: Sequence[Operator]) -> tuple[float, dict[Operator, Prediction]]:
        predictions = self.operators.predict(operators)
        parts = network_parts(operators, _seconds(predictions))
        return float(self.calibration.seconds(parts[None])[0]), predictions

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
        return workload.operators

    def _outside(
        self, operators: Sequence[Operator], predictions: dict[Operator, Prediction]
    ) -> tuple[float, float]:
        """Give the share of the time spent in operators not covered, and the doubt they add."""
        total = sum(predictions[each].seconds for each in operators)
        strange = [predictions[each] for each in operators if not predictions[each].inside]
        share = sum(each.seconds for each in strange) / total
        doubt = sum(each.seconds * math.expm1(_Z_90 * each.deviation) for each in strange) / total
        return share, doubt

    def _interval(self, latency: float, outside: tuple[float, float]) -> tuple[float, float]:
        errors = self.validation.profile
        below, above = max(0.0, 1 - errors.low_ratio), max(0.0, errors.high_ratio - 1)
        # A rule of thumb: doubled for a network twice as slow, or as fast, as any measured.
        stretch = 1 + abs(math.log2(self._beyond(latency)))
        below, above = below * stretch + outside[1], above * stretch + outside[1]
        return latency * max(0.0, 1 - below), latency * (1 + above)

    def _beyond(self, latency: float) -> float:
        """Give the ratio of the latency to the nearest that was measured; 1 between them."""
        measured = [network.low_s for network in self.record.networks]
        return latency / min(max(latency, min(measured)), max(measured))

    def _note(self, latency: float, outside: tuple[float, float]) -> str:
        conditions, found = self.record.conditions, self.validation
        parts = [
            f"fitted to {len(self.record.operators)} operators and "
            f"{len(self.record.with_role('calibration'))} networks on "
            f"{conditions.host.get('processor', 'unknown')}, {conditions.threads} thread(s), "
            f"{conditions.created[:10]}",
            f"{found.profile.networks} unseen networks: mean error {found.profile.mape:.1%}, "
            f"{found.profile.within_10:.0%} within 10 %, repeat noise {found.repeat_noise:.1%}",
        ]
        if found.repeat_noise > QUIET:
            parts.append("the machine was busy while it was profiled")
        if outside[0] > 0:
            parts.append(
                f"{outside[0]:.0%} of the time is spent in operators of sizes outside the profile: "
                "the interval is wider"
            )
        beyond = self._beyond(latency)
        if beyond != 1:
            faster = "slower" if beyond > 1 else "faster"
            parts.append(f"{faster} than any network measured: the interval is wider")
        return "; ".join(parts)

    def _breakdown(
        self, operators: Sequence[Operator], predictions: dict[Operator, Prediction]
    ) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        for each in operators:
            factor = self.calibration.with_macs if each.macs else self.calibration.others
            found[each.name.removeprefix("aten::")] += factor * predictions[each].seconds
        found["overhead"] = len(operators) * self.calibration.overhead_us * 1e-6
        return dict(found)


def _seconds(predictions: dict[Operator, Prediction]) -> dict[Operator, float]:
    return {operator: prediction.seconds for operator, prediction in predictions.items()}


def _check_roles(record: ProfileRecord) -> None:
    fewest: dict[Role, int] = {"calibration": FEWEST, "validation": FEWEST_VALIDATION}
    for role, needed in fewest.items():
        count = len(record.with_role(role))
        if count < needed:
            raise ProfileError(
                f"{count} {role} networks: a profile needs at least {needed}; profile again with "
                f"--{'networks' if role == 'calibration' else 'validate'} {needed} or more"
            )
