import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cost_models import CostModelError, Operator, Workload, trace
from cost_models.counting.operator_call import TensorArgument

sizes = st.lists(st.integers(0, 9), max_size=4).map(tuple)
tensors = st.builds(
    TensorArgument, sizes, st.none() | sizes, st.sampled_from(["float32", "int64", "bool"])
)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(0, 1)
arguments = st.recursive(
    tensors | scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6
)
operators = st.builds(
    Operator,
    name=st.just("aten::relu"),
    arguments=st.lists(arguments, max_size=3).map(tuple),
    output=sizes,
    macs=st.integers(0, 10**9),
)


@given(operators)
def test_an_operator_survives_json_unchanged(operator):
    assert Operator.from_data(json.loads(json.dumps(operator.to_data()))) == operator


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"macs": "many"},
        {"output": [-1]},
        {"output": [True]},
        {"output": 4},
        {"arguments": None},
        {"arguments": [{"size": [1]}]},
        {"arguments": [{"shape": ["a"]}]},
    ],
)
def test_data_that_is_no_operator_is_refused(change):
    good = Operator(name="aten::relu", arguments=(TensorArgument((2,)),), output=(2,)).to_data()
    with pytest.raises(CostModelError, match="not an operator"):
        Operator.from_data(good | change)


def test_the_tensors_of_a_call_include_those_in_lists():
    first, second = TensorArgument((1, 2)), TensorArgument((3,))
    call = Operator(name="aten::cat", arguments=((first, (second,)), 1), output=())
    assert call.tensors == (first, second)
    assert [tensor.elements for tensor in call.tensors] == [2, 3]


def calls(module: nn.Module, *inputs: Tensor) -> tuple[Operator, ...]:
    found = trace(module, inputs).operators
    assert found is not None
    return found


def test_every_operator_is_recorded_in_the_order_of_its_call():
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    found = calls(network, torch.zeros(1, 2, 4, 4))
    assert [call.name for call in found] == [
        "aten::_convolution",
        "aten::batch_norm",
        "aten::relu",
        "aten::flatten.using_ints",
        "aten::linear",
    ]
    conv, _, relu, _, linear = found
    assert conv.tensors[:2] == (TensorArgument((1, 2, 4, 4)), TensorArgument((3, 2, 3, 3)))
    assert (conv.output, conv.macs) == ((1, 3, 2, 2), 4 * 3 * 18)
    assert (relu.arguments, relu.output, relu.macs) == (
        (TensorArgument((1, 3, 2, 2)),),
        (1, 3, 2, 2),
        0,
    )
    assert linear.macs == 24


def test_macs_of_a_recorded_operator_are_those_of_the_whole_batch():
    (call,) = calls(nn.Linear(4, 5), torch.zeros(3, 4))
    assert call.macs == 3 * 20


def test_calls_alike_are_equal_and_can_be_looked_up():
    layer = nn.Linear(4, 4)
    first, second = calls(nn.Sequential(layer, nn.Linear(4, 4)), torch.zeros(1, 4))
    assert first == second
    assert len({first, second}) == 1


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_a_size_that_is_read_off_a_tensor_is_a_number_and_no_operator():
    def split_heads(x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, 2, width // 2)

    (call,) = calls(Function(split_heads), torch.zeros(3, 5, 8))
    assert call.name == "aten::view"
    assert call.arguments == (TensorArgument((3, 5, 8)), (3, 5, 2, 4))


def test_a_tensor_that_is_not_contiguous_keeps_its_strides():
    view, copy = calls(Function(lambda x: x.t().reshape(6)), torch.zeros(2, 3))
    assert view.tensors[0].strides is None
    assert copy.tensors[0] == TensorArgument((3, 2), (1, 3))


def test_tokens_keep_their_type():
    (call,) = calls(nn.Embedding(7, 2), torch.zeros(1, 3, dtype=torch.long))
    assert call.tensors[1] == TensorArgument((1, 3), None, "int64")


def test_a_recurrent_network_records_its_parameters_and_its_first_state():
    zeros, *_, lstm = calls(nn.LSTM(4, 5), torch.zeros(7, 1, 4))
    assert zeros.name == "aten::zeros"
    assert lstm.name == "aten::lstm.input"
    assert TensorArgument((20, 4)) in lstm.tensors


def test_a_traced_workload_survives_json_with_its_operators():
    work = trace(nn.Sequential(nn.Linear(4, 5), nn.ReLU()), (torch.zeros(1, 4),))
    again = Workload.from_json(work.to_json())
    assert again == work
    assert len(again.operators) == 2


def test_a_workload_written_before_operators_were_recorded_has_none():
    work = trace(nn.Linear(4, 5), (torch.zeros(1, 4),))
    data = json.loads(work.to_json())
    del data["operators"]
    assert Workload.from_json(json.dumps(data)).operators is None
