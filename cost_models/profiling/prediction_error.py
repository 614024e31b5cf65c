"""Prediction error of a latency model: MAPE, hit rates, rank agreement, interval."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cost_models.errors import CostModelError

_LOW, _HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionError:
    """Agreement of predictions with measurements on networks that no fit has seen.

    `mape` is the mean absolute error relative to the measured time, `within_5` and `within_10` the
    share of networks no further than 5 and 10 % off, `kendall_tau` the agreement in rank (tau-b).
    `low_ratio` and `high_ratio` are the 5 and 95 % quantiles of measured / predicted.
    """

    networks: int
    mape: float
    within_5: float
    within_10: float
    kendall_tau: float
    low_ratio: float
    high_ratio: float

    def to_data(self) -> dict[str, Any]:
        """Turn the figures into plain data."""
        return asdict(self)


def prediction_error(predicted: Sequence[float], measured: Sequence[float]) -> PredictionError:
    """Compare predicted with measured seconds, network by network."""
    if len(predicted) != len(measured) or len(measured) < 2:
        raise CostModelError(
            f"{len(predicted)} predicted and {len(measured)} measured times: need as many of each, "
            "and at least 2"
        )
    ratios = np.asarray(measured, dtype=float) / np.asarray(predicted, dtype=float)
    errors = np.abs(1 / ratios - 1)
    return PredictionError(
        networks=len(measured),
        mape=float(errors.mean()),
        within_5=float((errors <= 0.05).mean()),
        within_10=float((errors <= 0.10).mean()),
        kendall_tau=kendall_tau(predicted, measured),
        low_ratio=float(np.quantile(ratios, _LOW)),
        high_ratio=float(np.quantile(ratios, _HIGH)),
    )


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b: 1 when both rank alike, -1 when in reverse; 0 when one is constant."""
    pairs = list(combinations(zip(first, second, strict=True), 2))
    signs = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in pairs]
    untied = [sum(sign[axis] != 0 for sign in signs) for axis in (0, 1)]
    agreement = sum(one * other for one, other in signs)
    return float(agreement / np.sqrt(untied[0] * untied[1])) if all(untied) else 0.0
