"""Does the Gaussian process say what an independent one says?"""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from growsearch.search.samplers.gp_ehvi.gaussian_process import (
    GaussianProcess,
    _distances,
    _unlikelihood,
)


def _results(count: int, features: int = 3, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    rows = rng.normal(size=(count, features))
    return rows, np.sin(rows[:, 0]) + 0.3 * rows[:, 1] + noise * rng.normal(size=count)


def test_mean_and_deviation_are_those_of_scikit_learn_at_the_same_hyper_parameters() -> None:
    rows, targets = _results(25)
    model = GaussianProcess()
    model.fit(rows, targets)
    assert model._logs is not None
    variance, scale, noise = np.exp(model._logs)
    kernel = ConstantKernel(variance) * Matern(length_scale=scale * np.sqrt(3), nu=2.5)
    other = GaussianProcessRegressor(
        kernel + WhiteKernel(noise), optimizer=None, normalize_y=True
    ).fit(rows, targets)
    asked = np.random.default_rng(1).normal(size=(40, 3))
    mean, deviation = model.predict(asked)
    expected_mean, expected_deviation = other.predict(asked, return_std=True)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(deviation, expected_deviation, rtol=1e-5)


@pytest.mark.parametrize("logs", [(0.0, 0.0, -5.0), (1.3, -0.7, -2.0), (-1.0, 1.5, -8.0)])
def test_the_gradient_is_that_of_finite_differences(logs: tuple[float, ...]) -> None:
    rows, targets = _results(12)
    distances, point = _distances(rows, rows), np.array(logs)
    _, gradient = _unlikelihood(point, distances, targets)
    numeric = approx_fprime(point, lambda p: _unlikelihood(p, distances, targets)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3)


def test_a_smooth_function_is_learned_and_noise_is_told_from_it() -> None:
    model = GaussianProcess()
    model.fit(*_results(60))
    rows, truth = _results(30)
    mean, deviation = model.predict(rows)
    assert float(np.abs(mean - truth).mean()) < 0.1
    noisy = GaussianProcess()
    noisy.fit(*_results(200, noise=0.5))
    assert float(noisy.predict(rows)[1].mean()) > 0.4 > float(deviation.mean())


def test_equal_targets_and_equal_features_do_no_harm() -> None:
    model = GaussianProcess()
    model.fit(np.zeros((4, 2)), np.array([1.0, 1.0, 1.0, 1.0]))
    mean, deviation = model.predict(np.array([[0.0, 0.0], [5.0, 5.0]]))
    np.testing.assert_allclose(mean, 1.0)
    assert (deviation > 0).all()
    model.fit(np.zeros((5, 2)), np.array([1.0, 2.0, 1.0, 2.0, 1.5]))
    assert model.predict(np.zeros((1, 2)))[0] == pytest.approx(1.5, abs=1e-3)
