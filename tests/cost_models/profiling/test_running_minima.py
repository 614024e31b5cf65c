import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost_models.profiling.running_minima import KEPT, RunningMinima


def filled(*halves: list[float]) -> RunningMinima:
    lows = RunningMinima(1)
    for half, samples in enumerate(halves):
        for seconds in samples:
            lows.add(0, half, seconds)
    return lows


def test_the_low_figure_is_the_mean_of_the_three_smallest_samples_of_both_halves():
    lows = filled([5.0, 1.0, 9.0, 2.0], [8.0, 3.0, 7.0, 6.0])
    assert lows.low_s.tolist() == [2.0]
    assert lows.halves_s.tolist() == [[pytest.approx(8 / 3), pytest.approx(16 / 3)]]
    assert lows.noise == pytest.approx(1.0)


def test_noise_is_unknown_until_both_halves_have_samples():
    assert filled([1.0, 1.0, 1.0], [1.0, 1.0]).noise == float("inf")
    assert RunningMinima(0).noise == float("inf")


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=KEPT, max_size=20),
    st.lists(st.floats(1e-6, 1e3), min_size=KEPT, max_size=20),
)
def test_no_half_is_lower_than_the_whole_and_the_order_of_samples_does_not_matter(first, second):
    lows = filled(first, second)
    assert lows.low_s[0] <= lows.halves_s.min() * (1 + 1e-12)
    assert np.array_equal(filled(first[::-1], sorted(second)).kept, lows.kept)


def test_samples_can_be_taken_over_from_another_run():
    lows = filled([5.0, 1.0, 9.0], [8.0, 3.0])
    again = RunningMinima.of(lows.kept[:, :, ::-1])
    again.add(0, 1, 1.0)
    assert again.kept.tolist() == [[[1.0, 5.0, 9.0], [1.0, 3.0, 8.0]]]
    assert lows.kept[0, 1].tolist() == [3.0, 8.0, np.inf]
