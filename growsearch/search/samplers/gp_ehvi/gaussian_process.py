"""Gaussian-process surrogate of a network's error or cost, with one length scale.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006): posterior (2.25) and (2.26),
marginal likelihood (2.30) and its gradient (5.9), Matern 5/2 (4.17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]

# Hyper-parameters are fitted again when results have grown by this share.
_REFIT_SHARE = 0.1
_MAX_STEPS = 60
# Keeps a matrix of equal features invertible.
_JITTER = 1e-10
_MIN_DEVIATION = 1e-6
# What is not positive definite is no candidate for the likelihood's maximum.
_IMPOSSIBLE = 1e10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prior:
    """A normal prior of a hyper-parameter's logarithm, and the bounds of the hyper-parameter."""

    middle: float
    deviation: float
    least: float
    most: float


# Of the variance, the length scale over the square root of the number of features, and the noise;
# the targets have variance 1. A few results alone would say that there is no noise at all, or that
# a feature tells nothing.
_PRIORS = (
    _Prior(middle=1.0, deviation=1.0, least=1e-2, most=1e3),
    _Prior(middle=1.0, deviation=1.0, least=1e-2, most=1e2),
    _Prior(middle=3e-3, deviation=2.0, least=1e-4, most=1.0),
)
_MIDDLES = np.log([prior.middle for prior in _PRIORS])
_DEVIATIONS = np.array([prior.deviation for prior in _PRIORS])
_BOUNDS = [(np.log(prior.least), np.log(prior.most)) for prior in _PRIORS]


class GaussianProcess:
    """A Gaussian process, Matern 5/2, on standardised features.

    Hyper-parameters (variance, one length scale, noise) maximise the marginal likelihood times a
    prior, from where they were. They are fitted again when a tenth more results have come; in
    between only the posterior is.
    """

    def __init__(self) -> None:
        self._logs: Array | None = None
        self._fitted_with = 0

    def fit(self, features: Array, targets: Array) -> None:
        """Condition on results: features (results, features), targets (results,)."""
        self._features = features / np.sqrt(features.shape[1])
        self._center, spread = float(targets.mean()), float(targets.std())
        self._spread = spread if spread > 0 else 1.0
        unit = (targets - self._center) / self._spread
        distances = _distances(self._features, self._features)
        due = len(targets) >= (1 + _REFIT_SHARE) * self._fitted_with
        if self._logs is None or due or len(targets) < self._fitted_with:
            start = _MIDDLES if self._logs is None else self._logs
            self._logs = _fitted(start, distances, unit)
            self._fitted_with = len(targets)
        variance, scale, noise = np.exp(self._logs)
        covariance = variance * _matern(distances / scale)
        covariance[np.diag_indices_from(covariance)] += noise + _JITTER
        self._root = cholesky(covariance, lower=True)
        self._weights = cho_solve((self._root, True), unit)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of results, each of shape (candidates,).

        The noise is in the deviation: it stands for what the features do not tell of a network.
        """
        assert self._logs is not None, "fit comes first"
        variance, scale, noise = np.exp(self._logs)
        scaled = features / np.sqrt(features.shape[1])
        across = variance * _matern(_distances(scaled, self._features) / scale)
        known = solve_triangular(self._root, across.T, lower=True, check_finite=False)
        left = variance + noise - (known**2).sum(axis=0)
        deviation = self._spread * np.sqrt(np.maximum(left, 0.0))
        mean = self._center + self._spread * (across @ self._weights)
        return mean, np.maximum(deviation, _MIN_DEVIATION)


def _distances(one: Array, other: Array) -> Array:
    """Return Euclidean distances, shape (rows of one, rows of the other)."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _matern(distances: Array) -> Array:
    """Return the correlation at distances in length scales."""
    far = np.sqrt(5.0) * distances
    return np.asarray((1 + far + far**2 / 3) * np.exp(-far))


def _fitted(start: Array, distances: Array, targets: Array) -> Array:
    """Return the logarithms of the likeliest hyper-parameters that are found from ``start``."""
    found = minimize(
        _unlikelihood,
        start,
        args=(distances, targets),
        jac=True,
        method="L-BFGS-B",
        bounds=_BOUNDS,
        options={"maxiter": _MAX_STEPS},
    )
    return np.asarray(found.x)


def _unlikelihood(logs: Array, distances: Array, targets: Array) -> tuple[float, Array]:
    """Return minus the logarithm of likelihood times prior, up to a constant, and its gradient."""
    variance, scale, noise = np.exp(logs)
    far = np.sqrt(5.0) * distances / scale
    decay = np.exp(-far)
    smooth = variance * (1 + far + far**2 / 3) * decay
    covariance = smooth.copy()
    covariance[np.diag_indices_from(covariance)] += noise + _JITTER
    try:
        root = cholesky(covariance, lower=True, check_finite=False)
    except LinAlgError:
        return _IMPOSSIBLE, np.zeros_like(logs)
    weights = cho_solve((root, True), targets, check_finite=False)
    inverse = cho_solve((root, True), np.eye(len(targets)), check_finite=False)
    slope = np.outer(weights, weights) - inverse
    by_scale = variance * far**2 * (1 + far) / 3 * decay
    gradient = np.array([(slope * smooth).sum(), (slope * by_scale).sum(), noise * np.trace(slope)])
    off = (logs - _MIDDLES) / _DEVIATIONS
    value = 0.5 * targets @ weights + np.log(np.diag(root)).sum() + 0.5 * (off**2).sum()
    return float(value), off / _DEVIATIONS - 0.5 * gradient
