"""Nonnegative least squares of relative errors: by hand, and the conditions of an optimum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost_models.profiling.nonnegative_least_squares import nonnegative_least_squares


def test_one_amount_by_hand():
    # Relative errors c - 1, c / 2 - 1 and c - 1, of times 1, 2 and 1000: c = 2.5 / 2.25.
    amounts, seconds = np.array([[1.0], [1.0], [1000.0]]), np.array([1.0, 2.0, 1000.0])
    assert nonnegative_least_squares(amounts, seconds) == pytest.approx([2.5 / 2.25])


def test_what_would_be_negative_is_zero_and_the_rest_is_fitted_without_it():
    # Without a bound: 2 for the first and -1 for the second.
    amounts = np.array([[1.0, 0.0], [1.0, 1.0]])
    seconds = np.array([2.0, 1.0])
    # The first alone: (c / 2 - 1)^2 + (c - 1)^2 is least at 1.5 / 1.25.
    assert nonnegative_least_squares(amounts, seconds) == pytest.approx([1.2, 0.0])


def test_an_amount_that_no_sample_has_gets_zero():
    amounts = np.array([[3.0, 0.0], [6.0, 0.0]])
    assert nonnegative_least_squares(amounts, np.array([6.0, 12.0])) == pytest.approx([2.0, 0.0])


@given(
    seed=st.integers(0, 10_000),
    terms=st.integers(1, 5),
    exponents=st.lists(st.integers(-9, 12), min_size=5, max_size=5),
    scale=st.integers(-9, 3),
)
def test_no_other_coefficients_do_better_whatever_the_units(seed, terms, exponents, scale):
    draw = np.random.default_rng(seed)
    units = 10.0 ** np.array(exponents[:terms])
    amounts = draw.random((2 * terms + 1, terms)) * units
    seconds = (0.1 + draw.random(len(amounts))) * 10.0**scale
    found = nonnegative_least_squares(amounts, seconds)
    rows = amounts / seconds[:, None]
    size = rows.max(axis=0)
    slopes = (rows / size).T @ (rows @ found - 1)
    assert (found >= 0).all()
    # The conditions of Karush, Kuhn and Tucker: no slope leads down, and those in use are flat.
    assert slopes.min() >= -1e-9
    assert np.abs(slopes[found > 0]).max(initial=0) <= 1e-9
