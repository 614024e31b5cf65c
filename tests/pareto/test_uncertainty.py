"""Intervals and tests of accuracies against figures by hand, and what they must always hold."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from growsearch.pareto import Point
from growsearch.pareto.uncertainty import (
    Z95,
    is_small,
    mcnemar,
    mean_interval,
    one_error,
    told_apart,
    wilson,
    within_one_error,
)

PATIENT = settings(deadline=None)


def test_wilsons_interval_is_that_of_his_formula_by_hand():
    # z = 2, n = 100, p = 0.5: centre 0.52, scale 1.04, half 2 sqrt(0.0025 + 0.0001).
    low, high = wilson(0.5, 100, z=2.0)
    half = 2 * math.sqrt(0.25 / 100 + 1 / 100**2)
    assert (low, high) == pytest.approx(((0.52 - half) / 1.04, (0.52 + half) / 1.04), abs=1e-12)
    # All of n right: the lower end is 1 / (1 + z^2 / n).
    assert wilson(1.0, 300, z=2.0) == pytest.approx((300 / 304, 1.0), abs=1e-12)
    assert wilson(0.0, 300, z=2.0) == pytest.approx((0.0, 4 / 304), abs=1e-12)


@PATIENT
@given(right=st.integers(0, 500), wrong=st.integers(0, 500))
def test_wilsons_interval_is_the_one_of_scipy_and_mirrors_itself(right, wrong):
    count = right + wrong
    if count == 0:
        return
    found = wilson(right / count, count)
    theirs = binomtest(right, count).proportion_ci(confidence_level=0.95, method="wilson")
    assert found == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    low, high = wilson(wrong / count, count)
    assert found == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert 0 <= found[0] <= right / count <= found[1] <= 1


def test_ninety_five_percent_lie_between_the_quantiles():
    assert NormalDist().cdf(Z95) == pytest.approx(0.975, abs=1e-15)


def test_mcnemars_p_is_counted_by_hand():
    # 3 and 0: 2 x (1/8) less 1/8 for half of the observed case on both sides.
    assert mcnemar(3, 0) == pytest.approx(1 / 8)
    # 4 and 1 of 5: 2 x (1 + 5)/32 - 5/32.
    assert mcnemar(4, 1) == pytest.approx(7 / 32)
    assert mcnemar(1, 4) == mcnemar(4, 1)
    assert mcnemar(0, 0) == mcnemar(7, 7) == 1.0
    assert 0 < mcnemar(4000, 0) < 1e-300


@PATIENT
@given(b=st.integers(0, 300), c=st.integers(0, 300))
def test_mcnemars_p_is_a_probability_below_the_exact_one_and_falls_with_the_difference(b, c):
    p = mcnemar(b, c)
    assert 0 < p <= 1
    if b + c:
        assert p <= binomtest(b, b + c).pvalue + 1e-12
    if b >= c:
        assert mcnemar(b + 1, c) <= p + 1e-12


@settings(deadline=None, max_examples=20)
@given(
    st.integers(6, 60),
    st.integers(0, 60),
)
def test_mcnemar_says_what_a_paired_bootstrap_says(b, c):
    # Of n examples that are drawn again, the difference is b - c with that deviation.
    n = 1000
    deviation = math.sqrt(b + c - (b - c) ** 2 / n)
    normal = 2 * NormalDist().cdf(-abs(b - c) / deviation)
    assert mcnemar(b, c) == pytest.approx(normal, abs=0.06)


def test_one_standard_error_is_counted_by_hand_and_at_least_one_example():
    assert one_error(0.9, 100) == pytest.approx(0.03)
    assert one_error(1.0, 300) == one_error(0.0, 300) == pytest.approx(1 / 300)
    # 90 of 100 are right: 87 are within 3 examples, 86 are not.
    assert within_one_error(0.90, 0.87, 100)
    assert not within_one_error(0.90, 0.86, 100)
    # One example of 300 is no difference, two are where the error is smaller than that.
    assert within_one_error(1.0, 299 / 300, 300)
    assert not within_one_error(1.0, 298 / 300, 300)


def test_few_examples_are_those_with_an_interval_wider_than_a_point():
    # The half width is about 1.96 sqrt(p(1-p)/n): of 0.95 half a point is reached at 7,300.
    assert is_small(0.95, 7_200)
    assert not is_small(0.95, 7_400)
    assert is_small(1.0, 300)
    assert not is_small(0.999, 20_000)


def test_measurements_differ_by_more_than_their_noise():
    def measured(value: float, noise: float) -> Point:
        return Point(id="x", values={"latency": value}, noise={"latency": noise})

    # 1.96 sqrt(3^2 + 4^2) = 9.8
    assert not told_apart(measured(100, 3), measured(109.7, 4), "latency")
    assert told_apart(measured(100, 3), measured(109.9, 4), "latency")
    bare = Point(id="y", values={"latency": 100.0})
    assert told_apart(bare, Point(id="z", values={"latency": 100.1}), "latency")
    assert not told_apart(bare, bare, "latency")


def test_a_mean_of_seeds_has_students_interval():
    mean, deviation, half = mean_interval([0.90, 0.92, 0.94])
    assert (mean, deviation) == pytest.approx((0.92, 0.02))
    # t of 2 degrees of freedom at 97.5 % is 4.3027.
    assert half == pytest.approx(4.3027 * 0.02 / math.sqrt(3), rel=1e-4)


def test_mcnemars_test_tells_equal_networks_apart_in_up_to_7_7_of_100_cases():
    # Of n examples that differ, b are the first's with probability C(n, b) / 2^n.
    def told_apart(n: int) -> float:
        return sum(math.comb(n, b) for b in range(n + 1) if mcnemar(b, n - b) < 0.05) / 2**n

    most = max(range(1, 200), key=told_apart)
    assert (most, round(told_apart(most), 4)) == (16, 0.0768)
