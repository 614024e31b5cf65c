import numpy as np
import pytest
import torch
from torch import nn

from cost_models import Operator, UnsupportedLayerError, trace
from cost_models.counting.operator_call import TensorArgument
from cost_models.profiling.features import bytes_moved, padded_macs
from cost_models.profiling.operator_model import OperatorModel


def convolution(channels_in: int, channels_out: int) -> Operator:
    """A 3 x 3 convolution of 6 x 6 pixels, as `trace` records it."""
    image = (1, channels_in, 6, 6)
    return Operator(
        name="aten::_convolution",
        arguments=(
            TensorArgument(image),
            TensorArgument((channels_out, channels_in, 3, 3)),
            *(None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1, False, False, True, True),
        ),
        output=(1, channels_out, 6, 6),
        macs=36 * 9 * channels_in * channels_out,
    )


def test_the_convolutions_of_these_tests_are_those_that_a_trace_records():
    module = nn.Conv2d(5, 7, 3, padding=1, bias=False)
    assert trace(module, (torch.zeros(1, 5, 6, 6),)).operators == (convolution(5, 7),)


def seconds(operator: Operator) -> float:
    return 1e-6 + padded_macs(operator) / 20e9 + bytes_moved(operator) / 5e9


@pytest.fixture(scope="module")
def timed() -> dict[Operator, float]:
    draw = np.random.default_rng(0)
    sizes = [*draw.integers(1, 65, size=(60, 2)).tolist(), [1, 1], [64, 64]]
    return {operator: seconds(operator) for operator in (convolution(*pair) for pair in sizes)}


@pytest.fixture(scope="module")
def model(timed) -> OperatorModel:
    return OperatorModel.fit(timed)


def test_a_timed_operator_takes_what_it_took(model, timed):
    found = model.predict(timed)
    assert {operator: each.seconds for operator, each in found.items()} == timed
    assert all(each.inside and each.deviation == 0 for each in found.values())


def test_an_operator_that_was_not_timed_is_predicted_from_those_around_it(model):
    operators = [convolution(*pair) for pair in ((5, 40), (33, 18), (16, 16), (50, 7), (63, 63))]
    found = model.predict(operators)
    for operator in operators:
        assert found[operator].seconds == pytest.approx(seconds(operator), rel=0.1)
        assert found[operator].inside


def test_the_jump_from_one_vector_of_channels_to_two_is_predicted(model):
    one, two = convolution(30, 16), convolution(30, 17)
    found = model.predict([one, two], exact=False)
    assert found[two].seconds / found[one].seconds > 1.3


def test_sizes_beyond_those_timed_are_said_to_be_outside_and_are_doubted_more(model):
    near, far = convolution(40, 40), convolution(400, 400)
    found = model.predict([near, far])
    assert (found[near].inside, found[far].inside) == (True, False)
    assert found[far].deviation > 2 * found[near].deviation
    assert found[far].seconds == pytest.approx(seconds(far), rel=0.6)


def test_a_kind_that_was_never_timed_is_refused_with_its_name_and_sizes(model):
    (relu,) = trace(nn.ReLU(), (torch.zeros(1, 3),)).operators
    with pytest.raises(UnsupportedLayerError, match=r"aten::relu on tensors \(1, 3\): no operator"):
        model.predict([relu])


def test_fitting_again_with_the_scales_found_gives_the_same_predictions(model, timed):
    again = OperatorModel.fit(timed, model.scales)
    operators = [convolution(9, 9), convolution(20, 41)]
    first, second = (each.predict(operators) for each in (model, again))
    for operator in operators:
        assert second[operator].seconds == pytest.approx(first[operator].seconds, rel=1e-9)
    assert again.scales == model.scales


def test_scales_of_another_fit_are_searched_for_anew(model, timed):
    kind = next(iter(model.scales))
    again = OperatorModel.fit(timed, {kind: [0.0]})
    assert len(again.scales[kind]) == len(model.scales[kind])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_kind_with_few_timings_is_predicted_by_its_trend(count):
    widths = [8, 24, 40, 56, 64][:count]
    timed = {each: seconds(each) for each in (convolution(8, width) for width in widths)}
    found = OperatorModel.fit(timed).predict([convolution(8, 30)])
    (prediction,) = found.values()
    assert min(timed.values()) * 0.7 <= prediction.seconds <= max(timed.values()) * 1.3
    assert prediction.deviation >= 0
