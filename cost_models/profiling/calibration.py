"""Calibration on whole networks: how do the times of single operators add up to theirs?

    seconds = a * (operators that do MACs) + b * (the others) + c * (number of operators)

with a, b, c >= 0, fitted on whole networks by least squares of the relative error. In a network an
operator meets other cache contents, and Python and torch take their time around each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cost_models.counting.operator_call import Operator
from cost_models.errors import CostModelError
from cost_models.profiling.nonnegative_least_squares import nonnegative_least_squares

Array = NDArray[np.float64]
_MICROSECOND = 1e-6  # the unit of c, so that a, b and c are of one size
MIN_NETWORKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The factors a and b, and c in microseconds an operator."""

    with_macs: float
    others: float
    overhead_us: float

    def seconds(self, parts: Array) -> Array:
        """Add up rows of `network_parts`, (networks, 3)."""
        factors = np.array([self.with_macs, self.others, self.overhead_us])
        return np.asarray(parts @ factors)


def network_parts(operators: Sequence[Operator], seconds: Mapping[Operator, float]) -> Array:
    """Sum seconds over operators with MACs and over the others, and count in microseconds."""
    with_macs = sum(seconds[each] for each in operators if each.macs)
    others = sum(seconds[each] for each in operators if not each.macs)
    return np.array([with_macs, others, len(operators) * _MICROSECOND])


def calibrate(parts: Array, seconds: Array) -> Calibration:
    """Fit on networks: their parts, (networks, 3), and their measured seconds."""
    with_macs, others, overhead = nonnegative_fit(parts, seconds)
    return Calibration(with_macs=with_macs, others=others, overhead_us=overhead)


def nonnegative_fit(columns: Array, seconds: Array) -> tuple[float, ...]:
    """Give the factors >= 0 of the columns, (networks, n), with the least relative error."""
    if len(seconds) < MIN_NETWORKS:
        raise CostModelError(
            f"{len(seconds)} networks to calibrate on: need at least {MIN_NETWORKS}; take 10"
        )
    return tuple(nonnegative_least_squares(columns, seconds).tolist())
