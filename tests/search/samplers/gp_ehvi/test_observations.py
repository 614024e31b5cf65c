"""Objectives as errors and costs, and costs on a logarithmic scale and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.search.samplers.gp_ehvi.acquisition import _from_log, _to_log
from growsearch.search.samplers.gp_ehvi.observations import ObjectiveView


def _view(*, ceiling: float | None = 1.0) -> ObjectiveView:
    return ObjectiveView(metric=0, ceiling=ceiling, costs=(1, 2), signs=(1, -1))


def test_a_metric_beyond_its_ceiling_is_refused() -> None:
    assert _view().error([0.75, 1, 2]) == pytest.approx(0.25)
    with pytest.raises(UsageError, match="an error is not below 0"):
        _view().error([1.5, 1, 2])


@pytest.mark.parametrize("values", [[0.5, 1.0], [0.5, 1.0, 2.0, 3.0]])
def test_another_number_of_values_than_of_objectives_is_refused(values: list[float]) -> None:
    with pytest.raises(UsageError, match=rf"{len(values)} values for 3 objectives"):
        _view().minimised(values)
    assert _view().minimised([0.5, 1.0, 2.0]) == [0.5, 1.0, -2.0]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1), st.sampled_from([1.0, -1.0]))
def test_costs_come_back_from_their_logarithm_with_their_sign(
    values: list[float], sign: float
) -> None:
    costs = sign * np.array(values)
    assert _from_log(_to_log(costs), costs) == pytest.approx(costs)
