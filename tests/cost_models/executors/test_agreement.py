import pytest
import torch
from torch import nn

from cost_models import CostModelError
from cost_models.executors.agreement import check_same, difference, flat_tensors, torch_outputs


def test_a_difference_is_relative_to_the_largest_expected_magnitude():
    assert difference(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0])) == 0.25


def test_a_difference_from_all_zeros_is_absolute():
    assert difference(torch.zeros(2), torch.tensor([0.0, 0.5])) == 0.5


def test_an_empty_output_differs_by_nothing():
    assert difference(torch.zeros(0), torch.zeros(0)) == 0.0


def test_nested_outputs_are_flattened_in_order():
    a, b, c = torch.zeros(1), torch.ones(1), torch.full((1,), 2.0)
    assert [t.item() for t in flat_tensors([a, (b, {"x": c})])] == [0.0, 1.0, 2.0]


def test_outputs_that_are_no_tensors_cannot_be_compared():
    with pytest.raises(CostModelError, match="returns str"):
        flat_tensors("text")


def test_equal_outputs_pass_and_give_their_difference():
    expected = [torch.tensor([2.0]), torch.tensor([4.0])]
    found = [torch.tensor([2.0]), torch.tensor([3.0])]
    assert check_same(expected, found, tolerance=0.3, runtime="it") == 0.25


@pytest.mark.parametrize("value", [3.0, float("nan")])
def test_outputs_that_differ_or_are_no_numbers_are_refused_with_the_figure(value):
    with pytest.raises(CostModelError, match=r"it differs from torch by .*above 0.01"):
        check_same([torch.tensor([2.0])], [torch.tensor([value])], tolerance=0.01, runtime="it")


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(CostModelError, match=r"shape \(2, 1\), torch \(2,\)"):
        check_same([torch.zeros(2)], [torch.zeros(2, 1)], tolerance=1.0, runtime="it")


def test_a_module_is_run_on_a_copy_of_its_inputs():
    x = -torch.ones(2)
    assert torch_outputs(nn.ReLU(inplace=True), (x,))[0].tolist() == [0.0, 0.0]
    assert x.tolist() == [-1.0, -1.0]
