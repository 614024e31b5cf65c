"""Latency from counted work alone, for runtimes that have no single operators.

    seconds = a * MACs + b * MACs in whole vectors + c * bytes + d * operators + e

with factors >= 0, fitted on whole networks by least squares of the relative error. A runtime that
fuses operators or rewrites the graph can only be timed as a whole.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cost_models.counting.operator_call import Operator
from cost_models.errors import UnsupportedLayerError
from cost_models.profiling.calibration import nonnegative_fit
from cost_models.profiling.features import bytes_moved, kind_of, padded_macs
from cost_models.profiling.network_model import NetworkTime
from cost_models.profiling.records import ProfileRecord

_NAMES = ("MACs", "MACs in whole vectors", "bytes", "operators", "start")
# With factors below nothing but zero and twice as many networks as factors.
MIN_COUNTED_NETWORKS = 2 * len(_NAMES)


class CountedWork:
    """The factors of the five counts."""

    def __init__(self, factors: Sequence[float], kinds: frozenset[str]) -> None:
        self.factors = tuple(factors)
        self._kinds = kinds

    @classmethod
    def fit(cls, record: ProfileRecord) -> "CountedWork":
        """Fit on a record's calibration networks."""
        networks = record.with_role("calibration")
        columns = np.array([counted_work(network.operators) for network in networks])
        seconds = np.array([network.low_s for network in networks])
        kinds = {kind_of(each) for network in networks for each in network.operators}
        return cls(nonnegative_fit(columns, seconds), frozenset(kinds))

    @property
    def scales(self) -> Mapping[str, Sequence[float]]:
        """Nothing: the fit has no search."""
        return {}

    def predict(self, operators: Sequence[Operator]) -> NetworkTime:
        """Predict a network; raises `UnsupportedLayerError` for a kind that no network had."""
        for each in operators:
            if kind_of(each) not in self._kinds:
                raise UnsupportedLayerError(
                    f"operator {each.name}: no network that was timed has one of this kind; "
                    "profile a space that has it"
                )
        parts = counted_work(operators) * np.array(self.factors)
        return NetworkTime(
            seconds=float(parts.sum()),
            breakdown_s=dict(zip(_NAMES, parts.tolist(), strict=True)),
        )


def counted_work(operators: Sequence[Operator]) -> NDArray[np.float64]:
    """Count giga-MACs, those in whole vectors, gigabytes, operators in millions, milliseconds."""
    return np.array(
        [
            sum(each.macs for each in operators) * 1e-9,
            sum(padded_macs(each) for each in operators) * 1e-9,
            sum(bytes_moved(each) for each in operators) * 1e-9,
            len(operators) * 1e-6,
            1e-3,
        ]
    )
