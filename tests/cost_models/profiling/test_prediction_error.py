import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost_models import CostModelError
from cost_models.profiling.prediction_error import kendall_tau, prediction_error


def test_errors_counted_by_hand():
    found = prediction_error([1.0, 2.08, 3.6, 4.0], [1.0, 2.0, 3.0, 5.0])
    assert found.networks == 4
    assert found.mape == pytest.approx((0 + 0.04 + 0.2 + 0.2) / 4)
    assert (found.within_5, found.within_10) == (0.5, 0.5)
    assert found.kendall_tau == 1.0
    assert found.low_ratio == pytest.approx(3 / 3.6 + 0.15 * (2 / 2.08 - 3 / 3.6))
    assert 1.0 < found.high_ratio < 1.25


@pytest.mark.parametrize(
    ("second", "tau"),
    [
        ([1, 2, 3, 4], 1.0),
        ([4, 3, 2, 1], -1.0),
        ([1, 2, 4, 3], 4 / 6),
        ([1, 1, 2, 2], 4 / (6 * 4) ** 0.5),
        ([7, 7, 7, 7], 0.0),
    ],
)
def test_kendalls_tau_by_hand(second, tau):
    assert kendall_tau([1, 2, 3, 4], second) == pytest.approx(tau)


@given(st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=20))
def test_perfect_predictions_have_no_error(measured):
    found = prediction_error(measured, measured)
    assert (found.mape, found.within_5, found.low_ratio, found.high_ratio) == (0, 1, 1, 1)


@pytest.mark.parametrize(("predicted", "measured"), [([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_too_few_or_unpaired_times_are_refused(predicted, measured):
    with pytest.raises(CostModelError, match="as many of each"):
        prediction_error(predicted, measured)
