"""Latency as a sum of operators, each timed or predicted by itself."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from cost_models.counting.operator_call import Operator
from cost_models.profiling.calibration import Calibration, calibrate, network_parts
from cost_models.profiling.chosen_forms import ChosenForm, chosen_forms
from cost_models.profiling.network_model import NetworkTime
from cost_models.profiling.operator_model import OperatorModel
from cost_models.profiling.records import ProfileRecord

_Z_90 = 1.645  # 90 % of a normal distribution lie within so many deviations


class OperatorSum:
    """The operators' times and how they add up in whole networks."""

    def __init__(self, operators: OperatorModel, calibration: Calibration) -> None:
        self.operators = operators
        self.calibration = calibration

    @classmethod
    def fit(cls, record: ProfileRecord) -> "OperatorSum":
        """Fit on a record's operators and then on its calibration networks."""
        timed = {each.operator: each.low_s for each in record.operators}
        operators = OperatorModel.fit(timed, record.scales)
        networks = record.with_role("calibration")
        found = chosen_forms(operators, [each for net in networks for each in net.operators])
        parts = [network_parts(network.operators, _seconds(found)) for network in networks]
        measured = [network.low_s for network in networks]
        return cls(operators, calibrate(np.array(parts), np.array(measured)))

    @property
    def scales(self) -> Mapping[str, Sequence[float]]:
        """The scales of the operators' kernels."""
        return self.operators.scales

    def predict(self, operators: Sequence[Operator]) -> NetworkTime:
        """Predict a network; raises `UnsupportedLayerError` for a kind that was not timed."""
        found = chosen_forms(self.operators, operators)
        parts = network_parts(operators, _seconds(found))
        share, doubt = _outside(operators, found)
        return NetworkTime(
            seconds=float(self.calibration.seconds(parts[None])[0]),
            outside=share,
            doubt=doubt,
            breakdown_s=self._breakdown(operators, found),
            realisable_macs=sum(each.macs * found[each].computed for each in operators),
            layers_s=self._layers(operators, found),
        )

    def _layers(
        self, operators: Sequence[Operator], found: Mapping[Operator, ChosenForm]
    ) -> tuple[float, ...]:
        overhead = self.calibration.overhead_us * 1e-6
        factor = self.calibration.with_macs
        return tuple(factor * found[each].seconds + overhead for each in operators if each.macs)

    def _breakdown(
        self, operators: Sequence[Operator], found: Mapping[Operator, ChosenForm]
    ) -> dict[str, float]:
        split: dict[str, float] = defaultdict(float)
        for each in operators:
            factor = self.calibration.with_macs if each.macs else self.calibration.others
            split[each.name.removeprefix("aten::")] += factor * found[each].seconds
        split["overhead"] = len(operators) * self.calibration.overhead_us * 1e-6
        return dict(split)


def _seconds(found: Mapping[Operator, ChosenForm]) -> dict[Operator, float]:
    return {operator: prediction.seconds for operator, prediction in found.items()}


def _outside(
    operators: Sequence[Operator], found: Mapping[Operator, ChosenForm]
) -> tuple[float, float]:
    """Give the share of the time spent in operators not covered, and the doubt they add."""
    total = sum(found[each].seconds for each in operators)
    strange = [found[each] for each in operators if not found[each].inside]
    doubt = sum(each.seconds * math.expm1(_Z_90 * each.deviation) for each in strange)
    return sum(each.seconds for each in strange) / total, doubt / total
