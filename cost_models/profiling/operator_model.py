"""Operator latency model: how long does an operator take that was never timed?

Per kind of operator the geometric mean of two fits to the logarithm of the time: a Gaussian process
around a linear trend (Rasmussen & Williams 2006, eq. 2.25 and 2.26) and gradient-boosted trees
(Friedman 2001). The one is smooth and the other not, and together they are closer than either.
Outside the sizes timed, where trees know nothing, the trend and the process are left, and the
process says how little it knows.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cost_models.counting.operator_call import Operator
from cost_models.errors import UnsupportedLayerError
from cost_models.profiling.features import features, kind_of

# scikit-learn takes longer to import than all else that a trial needs, and few trials fit a model.
if TYPE_CHECKING:
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Kernel
    from sklearn.linear_model import Ridge

Array = NDArray[np.float64]
_RIDGE = 1e-2
# One length scale a feature needs several timings a feature to be found.
_TIMINGS_A_SCALE = 5
# With fewer timings than this, the trend alone.
_MIN_TIMINGS = 6
# Trees cut the timings into groups, and need some to cut.
_MIN_TIMINGS_FOR_TREES = 30
_TREES = 300
# The search for length scales inverts a matrix of this size again and again; the fit itself once.
_SEARCHED_ON = 250
# Variance of the logarithm: no timing is better than 2 %, however well a few seem to agree.
_NOISE = 0.02**2


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds, the standard deviation of their logarithm, and whether the sizes were covered."""

    seconds: float
    deviation: float
    inside: bool


class OperatorModel:
    """Times of operators: as timed where they were, else predicted from others of their kind."""

    def __init__(self, timed: Mapping[Operator, float], kinds: Mapping[str, KindModel]) -> None:
        self._timed = dict(timed)
        self._kinds = dict(kinds)

    @classmethod
    def fit(
        cls, timed: Mapping[Operator, float], scales: Mapping[str, Sequence[float]] | None = None
    ) -> OperatorModel:
        """Fit one model a kind; `scales` are those of an earlier fit, which then need no search."""
        by_kind: dict[str, list[Operator]] = defaultdict(list)
        for operator in timed:
            by_kind[kind_of(operator)].append(operator)
        known = scales or {}
        kinds = {
            kind: KindModel.fit(
                np.array([features(each) for each in operators]),
                np.log([timed[each] for each in operators]),
                known.get(kind),
            )
            for kind, operators in sorted(by_kind.items())
        }
        return cls(timed, kinds)

    @property
    def scales(self) -> dict[str, list[float]]:
        """What the search for the kernels found, for `fit`."""
        return {kind: list(model.scales) for kind, model in self._kinds.items() if model.scales}

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that can be predicted."""
        return frozenset(self._kinds)

    def predict(
        self, operators: Iterable[Operator], *, exact: bool = True
    ) -> dict[Operator, Prediction]:
        """Predict each operator; `exact` False predicts those too that were timed.

        Raises:
            UnsupportedLayerError: none of the operator's kind was timed.
        """
        wanted: dict[str, list[Operator]] = defaultdict(list)
        found: dict[Operator, Prediction] = {}
        for operator in dict.fromkeys(operators):
            if exact and operator in self._timed:
                found[operator] = Prediction(self._timed[operator], 0.0, True)
            else:
                wanted[self._known_kind(operator)].append(operator)
        for kind, group in wanted.items():
            rows = np.array([features(each) for each in group])
            found |= dict(zip(group, self._kinds[kind].predict(rows), strict=True))
        return found

    def _known_kind(self, operator: Operator) -> str:
        kind = kind_of(operator)
        if kind not in self._kinds:
            raise UnsupportedLayerError(
                f"operator {operator.name} on tensors "
                f"{', '.join(str(tensor.shape) for tensor in operator.tensors) or '(none)'}: no "
                "operator of this kind was timed; profile a space that has it"
            )
        return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class KindModel:
    """A trend, a Gaussian process and trees over the features that vary within one kind."""

    columns: tuple[int, ...]
    low: Array
    high: Array
    centre: Array
    spread: Array
    trend: Ridge | None
    mean: float
    process: GaussianProcessRegressor | None
    trees: GradientBoostingRegressor | None
    scatter: float

    @classmethod
    def fit(cls, rows: Array, logs: Array, scales: Sequence[float] | None) -> KindModel:
        """Fit on rows of features, (operators, features), and logarithms of seconds."""
        from sklearn.linear_model import Ridge

        columns = _distinct_columns(rows)
        chosen = rows[:, columns]
        centre, spread = chosen.mean(axis=0), chosen.std(axis=0)
        scaled = (chosen - centre) / spread
        trend = Ridge(alpha=_RIDGE * len(rows)).fit(scaled, logs) if columns else None
        mean = float(logs.mean())
        rest = logs - (trend.predict(scaled) if trend else mean)
        process = _process(scaled, rest, scales) if len(rows) >= _MIN_TIMINGS and columns else None
        return cls(
            columns=columns,
            low=rows.min(axis=0),
            high=rows.max(axis=0),
            centre=centre,
            spread=spread,
            trend=trend,
            mean=mean,
            process=process,
            trees=_trees(scaled, logs) if len(rows) >= _MIN_TIMINGS_FOR_TREES and columns else None,
            scatter=float(rest.std()) if len(rows) > 1 else 1.0,
        )

    @property
    def scales(self) -> tuple[float, ...]:
        """The kernel's parameters, as scikit-learn counts them; empty without a process."""
        return () if self.process is None else tuple(map(float, self.process.kernel_.theta))

    def predict(self, rows: Array) -> list[Prediction]:
        """Predict seconds for rows of features, (operators, features)."""
        scaled = (rows[:, self.columns] - self.centre) / self.spread
        logs = self.trend.predict(scaled) if self.trend else np.full(len(rows), self.mean)
        deviations = np.full(len(rows), self.scatter)
        if self.process is not None:
            rest, deviations = self.process.predict(scaled, return_std=True)
            logs = logs + rest
        inside = np.all((rows >= self.low - 1e-9) & (rows <= self.high + 1e-9), axis=1).tolist()
        if self.trees is not None:
            logs = np.where(inside, (logs + self.trees.predict(scaled)) / 2, logs)
        return [
            Prediction(float(np.exp(log)), float(deviation), covered)
            for log, deviation, covered in zip(logs, deviations, inside, strict=True)
        ]


def _distinct_columns(rows: Array) -> tuple[int, ...]:
    """Columns that vary, the first of those that are equal."""
    kept: list[int] = []
    for column in range(rows.shape[1]):
        values = rows[:, column]
        if np.ptp(values) < 1e-9:
            continue
        if not any(np.array_equal(values, rows[:, other]) for other in kept):
            kept.append(column)
    return tuple(kept)


def _process(
    scaled: Array, rest: Array, scales: Sequence[float] | None
) -> GaussianProcessRegressor:
    kernel = _kernel(scaled, rest)
    if scales is None or len(scales) != len(kernel.theta):
        some = np.linspace(0, len(rest) - 1, min(len(rest), _SEARCHED_ON)).astype(int)
        kernel = _fitted(kernel, scaled[some], rest[some], search=True).kernel_
    else:
        kernel = kernel.clone_with_theta(np.array(scales))
    return _fitted(kernel, scaled, rest, search=False)


def _trees(scaled: Array, logs: Array) -> GradientBoostingRegressor:
    from sklearn.ensemble import GradientBoostingRegressor

    trees = GradientBoostingRegressor(
        n_estimators=_TREES, learning_rate=0.07, max_depth=4, subsample=0.6, random_state=0
    )
    return trees.fit(scaled, logs)


def _kernel(scaled: Array, rest: Array) -> Kernel:
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    variance = max(float(rest.var()), 1e-6)
    count = scaled.shape[1] if len(scaled) >= _TIMINGS_A_SCALE * scaled.shape[1] else 1
    signal = ConstantKernel(variance, (variance * 1e-3, variance * 1e3))
    noise = WhiteKernel(max(variance * 1e-2, _NOISE), (_NOISE, max(variance, 2 * _NOISE)))
    return signal * Matern(np.full(count, 2.0), (0.1, 100.0), nu=1.5) + noise


def _fitted(
    kernel: Kernel, scaled: Array, rest: Array, *, search: bool
) -> GaussianProcessRegressor:
    from sklearn.gaussian_process import GaussianProcessRegressor

    process = GaussianProcessRegressor(kernel, optimizer="fmin_l_bfgs_b" if search else None)
    with warnings.catch_warnings():
        # A scale at its bound says that its feature does not matter, which is no mishap.
        warnings.simplefilter("ignore")
        return process.fit(scaled, rest)
