import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.pareto import Front
from growsearch.search.samplers.gp_ehvi.expected_improvement import (
    Reached,
    expected_gain,
    expected_shortfall,
)

# All but certain: a log-normal error of this deviation is its median.
CERTAIN = 1e-6


def _reached(costs: list[list[float]], errors: list[float], reference: list[float]) -> Reached:
    return Reached(
        costs=np.array(costs, dtype=float).reshape(len(costs), len(reference)),
        errors=np.array(errors, dtype=float),
        reference=np.array(reference, dtype=float),
        reference_error=10.0,
    )


def _gain(reached: Reached, costs: list[float], error: float, deviation: float = CERTAIN) -> float:
    gains = expected_gain(
        reached, np.array([costs]), np.array([math.log(error)]), np.array([deviation])
    )
    assert gains.shape == (1,)
    return float(gains[0])


def test_a_certain_error_gains_the_rectangles_that_a_pencil_draws() -> None:
    # Front (cost 2, error 6) and (cost 5, error 3), reference (8, 10).
    reached = _reached([[2], [5]], [6, 3], [8])
    # Error 4 at cost 3: on [3, 5] it falls from 6 to 4, on [5, 8] 3 is better already.
    assert _gain(reached, [3], 4) == pytest.approx(2 * 2)
    # Error 5 at cost 1: on [1, 2] from the reference 10, on [2, 5] from 6.
    assert _gain(reached, [1], 5) == pytest.approx(1 * 5 + 3 * 1)
    # Dominated, or beyond the reference: nothing.
    assert _gain(reached, [6], 4) == pytest.approx(0)
    assert _gain(reached, [9], 1) == pytest.approx(0)


def test_without_a_front_a_candidate_gains_its_rectangle_up_to_the_reference() -> None:
    assert _gain(_reached([], [], [8]), [3], 4) == pytest.approx(5 * 6)


def test_results_beyond_the_reference_do_not_count() -> None:
    reached = _reached([[9], [1]], [1, 11], [8])
    assert _gain(reached, [3], 4) == pytest.approx(5 * 6)


def test_two_costs_gain_the_boxes_that_a_pencil_draws() -> None:
    # One result at costs (2, 3) and error 6; the reference is (5, 5) and error 10.
    reached = _reached([[2, 3]], [6], [5, 5])
    # Error 4 at (1, 4): its rectangle is 4 x 1; the result covers 3 x 1 of it with error 6.
    assert _gain(reached, [1, 4], 4) == pytest.approx(3 * 1 * (6 - 4) + 1 * 1 * (10 - 4))
    # Error 7 at (1, 1): 4 x 4 = 16, of which the better result covers 3 x 2.
    assert _gain(reached, [1, 1], 7) == pytest.approx((16 - 6) * 3)


def test_no_cost_at_all_leaves_the_expected_improvement() -> None:
    assert _gain(_reached([[], []], [6, 4], []), [], 3) == pytest.approx(1)


def test_the_expected_shortfall_is_the_mean_of_drawn_log_normal_errors() -> None:
    mean, deviation = np.array([math.log(5), 0.3]), np.array([0.4, 1.1])
    levels = np.array([2.0, 4.5, 9.0])
    drawn = np.random.default_rng(0).standard_normal(400_000)
    expected = [
        [np.maximum(level - np.exp(m + s * drawn), 0).mean() for level in levels]
        for m, s in zip(mean, deviation, strict=True)
    ]
    found = expected_shortfall(levels, mean, deviation)
    np.testing.assert_allclose(found, expected, atol=0.01)


_errors = st.floats(0.5, 12)
_cost = st.floats(0.1, 9)


@settings(max_examples=60, deadline=None)
@given(
    front=st.lists(st.tuples(_errors, _cost, _cost), max_size=6),
    candidate=st.tuples(_errors, _cost, _cost),
)
def test_a_certain_gain_is_the_difference_of_two_hypervolumes(
    front: list[tuple[float, ...]], candidate: tuple[float, ...]
) -> None:
    names = ("error", "a", "b")
    directions = dict.fromkeys(names, "minimize")
    reference = dict(zip(names, (10.0, 8.0, 7.0), strict=True))

    def volume(points: list[tuple[float, ...]]) -> float:
        named = [dict(zip(names, point, strict=True)) for point in points]
        return Front.of(named, directions).hypervolume(reference)

    reached = _reached([list(p[1:]) for p in front], [p[0] for p in front], [8, 7])
    gain = _gain(reached, list(candidate[1:]), candidate[0])
    assert gain == pytest.approx(volume([*front, candidate]) - volume(front), abs=2e-3)


def test_three_costs_gain_about_what_hypervolume_says() -> None:
    generator = np.random.default_rng(1)
    front = generator.uniform(1, 8, (12, 4))
    reached = _reached(front[:, 1:].tolist(), front[:, 0].tolist(), [8, 8, 8])
    directions = dict.fromkeys("eabc", "minimize")
    reference = dict.fromkeys("eabc", 8.0) | {"e": 10.0}

    def volume(points: np.ndarray) -> float:
        named = [dict(zip("eabc", map(float, point), strict=True)) for point in points]
        return Front.of(named, directions).hypervolume(reference)

    candidates = generator.uniform(0.5, 4, (5, 4))
    before = volume(front)
    for candidate in candidates:
        exact = volume(np.vstack([front, candidate])) - before
        found = _gain(reached, candidate[1:].tolist(), float(candidate[0]))
        assert found == pytest.approx(exact, rel=0.05, abs=0.01 * before)


@settings(max_examples=40, deadline=None)
@given(error=st.floats(1, 9), deviation=st.floats(0.05, 1.5))
def test_uncertainty_about_an_error_never_lowers_the_gain_of_its_mean(
    error: float, deviation: float
) -> None:
    # max(f - e, 0) is convex in e: Jensen's inequality, with the mean of e kept.
    reached = _reached([[2], [5]], [6, 3], [8])
    median = error / math.exp(deviation**2 / 2)
    assert _gain(reached, [1], median, deviation) >= _gain(reached, [1], error) - 1e-4
