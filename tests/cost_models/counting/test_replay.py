import pytest
import torch
from torch import nn

from cost_models import CostModelError, Operator, UnsupportedLayerError, trace
from cost_models.counting.operator_call import TensorArgument
from cost_models.counting.replay import replay


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


NETWORKS = {
    "convolutions": (
        nn.Sequential(
            nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        ),
        (1, 4, 8, 8),
    ),
    "transformer": (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (1, 5, 16)),
    "lstm": (nn.LSTM(4, 5), (7, 1, 4)),
    "gru": (nn.GRU(4, 5, num_layers=2), (7, 1, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_of_a_network_can_be_called_alone_and_gives_its_output_size(name):
    module, shape = NETWORKS[name]
    found = trace(module, (torch.zeros(shape),)).operators
    for operator in found:
        result = replay(operator, generator())()
        first = result[0] if isinstance(result, tuple) else result
        assert tuple(first.shape) == operator.output, operator.name


def test_the_same_generator_gives_the_same_values():
    relu = Operator(name="aten::relu", arguments=(TensorArgument((4,)),), output=(4,))
    first, second = (replay(relu, generator())() for _ in range(2))
    assert torch.equal(first, second)
    assert bool(((first >= 0.5) & (first <= 1.5)).all())


def test_a_tensor_is_laid_out_with_its_strides():
    argument = TensorArgument((3, 2), (1, 3))
    contiguous = Operator(name="aten::contiguous", arguments=(argument, 0), output=(3, 2))
    result = replay(contiguous, generator())()
    assert result.stride() == (2, 1)  # a copy was made, so the argument was not contiguous


def test_an_empty_tensor_can_be_made():
    argument = TensorArgument((0, 2), (1, 3))
    relu = Operator(name="aten::relu", arguments=(argument,), output=(0, 2))
    assert replay(relu, generator())().shape == (0, 2)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Operator(name="mine::relu", arguments=(), output=()), "not one of torch's own"),
        (Operator(name="aten::no_such", arguments=(), output=()), "has no operator"),
        (Operator(name="aten::relu.Odd", arguments=(), output=()), "has no operator"),
        (
            Operator(
                name="aten::mm",
                arguments=(TensorArgument((2, 3)), TensorArgument((4, 5))),
                output=(2, 5),
            ),
            "aten::mm cannot be called alone",
        ),
        (Operator(name="aten::relu", arguments=(), output=()), "cannot be called alone"),
    ],
)
def test_an_operator_that_cannot_be_called_is_named(operator, message):
    with pytest.raises(UnsupportedLayerError, match=message):
        replay(operator, generator())


def test_an_unknown_type_of_tensor_is_refused():
    argument = TensorArgument((2,), None, "float3")
    with pytest.raises(CostModelError, match="'float3' is no type"):
        replay(Operator(name="aten::relu", arguments=(argument,), output=(2,)), generator())
