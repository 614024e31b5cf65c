"""What will a network's error or cost be? A Gaussian process with one length scale."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

Array = npt.NDArray[np.float64]

_LEAST_DEVIATION = 1e-6


class SmoothModel:
    """A Gaussian process, Matern 5/2, on standardised features.

    Hyper-parameters (variance, one length scale, noise) maximise the marginal likelihood and are
    fitted again when ``refit_every`` results have come since; in between only the posterior is.
    """

    def __init__(self, refit_every: int) -> None:
        self._refit_every = refit_every
        self._kernel: Kernel | None = None
        self._fitted_with = 0

    def fit(self, features: Array, targets: Array) -> None:
        """Condition on results: features (results, features), targets (results,)."""
        due = len(targets) >= self._fitted_with + self._refit_every
        if self._kernel is None or due or len(targets) < self._fitted_with:
            self._posterior = self._regressor(features.shape[1], optimise=True)
            self._fitted_with = len(targets)
        else:
            self._posterior = self._regressor(features.shape[1], optimise=False)
        with warnings.catch_warnings():
            # A length scale at its bound is a fine answer where the targets say nothing.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._posterior.fit(features, targets)
        self._kernel = self._posterior.kernel_

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of results, each of shape (candidates,).

        The noise is in the deviation: it stands for what the features do not tell of a network.
        """
        mean, deviation = self._posterior.predict(features, return_std=True)
        return np.asarray(mean), np.maximum(deviation, _LEAST_DEVIATION)

    def _regressor(self, features: int, *, optimise: bool) -> GaussianProcessRegressor:
        return GaussianProcessRegressor(
            kernel=self._kernel if self._kernel is not None else _start_kernel(features),
            optimizer="fmin_l_bfgs_b" if optimise else None,
            normalize_y=True,
            random_state=0,
        )


def _start_kernel(features: int) -> Kernel:
    scale = float(np.sqrt(features))
    return ConstantKernel(1.0, (1e-2, 1e3)) * Matern(
        length_scale=scale, length_scale_bounds=(1e-2 * scale, 1e2 * scale), nu=2.5
    ) + WhiteKernel(1e-3, (1e-6, 1.0))
