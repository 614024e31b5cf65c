import numpy as np
import pytest

from cost_models import CostModelError
from cost_models.counting.operator_call import Operator
from cost_models.profiling.calibration import calibrate, network_parts, nonnegative_fit

PARTS = np.array(
    [[3e-4, 1e-4, 20e-6], [9e-4, 1e-4, 30e-6], [2e-4, 4e-4, 25e-6], [5e-4, 2e-4, 60e-6]]
)


def test_factors_that_made_the_times_are_found_again():
    seconds = PARTS @ np.array([1.25, 0.5, 2.0])
    found = calibrate(PARTS, seconds)
    assert (found.with_macs, found.others) == (pytest.approx(1.25), pytest.approx(0.5))
    assert found.overhead_us == pytest.approx(2.0)
    assert found.seconds(PARTS) == pytest.approx(seconds)


def test_no_factor_is_below_zero():
    seconds = PARTS @ np.array([1.0, -0.3, 1.0])
    found = calibrate(PARTS, seconds)
    assert min(found.with_macs, found.others, found.overhead_us) >= 0


def test_a_short_network_counts_as_much_as_a_long_one():
    columns = np.array([[1.0], [1.0], [1000.0]])
    # Relative errors: 1, 2 and 1 times the column; least squares of 1 - factor / ratio.
    (factor,) = nonnegative_fit(columns, np.array([1.0, 2.0, 1000.0]))
    assert factor == pytest.approx((1 + 0.5 + 1) / (1 + 0.25 + 1))


def test_parts_are_sums_and_a_count():
    conv = Operator(name="aten::mm", arguments=(), output=(), macs=5)
    relu = Operator(name="aten::relu", arguments=(), output=())
    parts = network_parts([conv, relu, conv], {conv: 3.0, relu: 0.5})
    assert parts.tolist() == pytest.approx([6.0, 0.5, 3e-6])


def test_too_few_networks_are_refused():
    with pytest.raises(CostModelError, match="2 networks to calibrate on: need at least 3"):
        calibrate(PARTS[:2], np.ones(2))
