import numpy as np
import pytest
import torch
from torch import nn

from cost_models import trace
from cost_models.counting.operator_call import Operator, TensorArgument
from cost_models.profiling.features import (
    bytes_moved,
    features,
    is_grouped,
    kind_of,
    padded,
    padded_macs,
)


def call(module: nn.Module, *shape: int) -> Operator:
    (operator,) = trace(module, (torch.zeros(shape),)).operators
    return operator


@pytest.mark.parametrize(("size", "whole"), [(0, 0), (1, 16), (16, 16), (17, 32)])
def test_channels_come_in_whole_vectors_of_sixteen(size, whole):
    assert padded(size) == whole


def test_a_convolution_of_seventeen_to_one_channel_is_computed_as_one_of_32_to_16():
    operator = call(nn.Conv2d(17, 1, 3, padding=1), 1, 17, 4, 4)
    assert operator.macs == 16 * 17 * 9
    assert padded_macs(operator) == 16 * 32 * 16 * 9


def test_bytes_are_those_of_inputs_weights_and_output():
    assert bytes_moved(call(nn.Linear(3, 5), 2, 3)) == 4 * (6 + 15 + 5 + 10)


def test_an_operator_without_macs_has_none_in_whole_vectors_either():
    assert padded_macs(call(nn.ReLU(), 1, 3)) == 0


def test_convolutions_of_any_width_and_stride_are_of_one_kind_and_have_as_many_features():
    wide = call(nn.Conv2d(8, 24, 3, bias=False), 1, 8, 5, 5)
    strided = call(nn.Conv2d(3, 4, 1, stride=2, bias=False), 1, 3, 5, 5)
    assert kind_of(wide) == kind_of(strided)
    assert features(wide).shape == features(strided).shape
    assert not np.array_equal(features(wide), features(strided))


@pytest.mark.parametrize(("groups", "grouped"), [(1, False), (2, True), (4, True)])
def test_convolutions_in_groups_are_another_kind(groups, grouped):
    operator = call(nn.Conv2d(4, 4, 3, groups=groups), 1, 4, 5, 5)
    assert is_grouped(operator) == grouped
    assert kind_of(operator).endswith("grouped") == grouped


def test_a_transposed_convolution_in_one_group_is_not_grouped():
    assert not is_grouped(call(nn.ConvTranspose2d(4, 6, 3), 1, 4, 5, 5))


def test_tensors_of_another_rank_type_or_layout_make_another_kind():
    kinds = {
        kind_of(Operator(name="aten::add", arguments=(tensor,), output=(2, 3)))
        for tensor in (
            TensorArgument((2, 3)),
            TensorArgument((6,)),
            TensorArgument((2, 3), (1, 2)),
            TensorArgument((2, 3), None, "int64"),
        )
    }
    assert len(kinds) == 4
