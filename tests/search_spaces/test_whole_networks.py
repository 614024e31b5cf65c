"""Own networks that come wrapped, compiled or lazy are searched as plain ones."""

import copy
import importlib
import sys

import pytest
import torch
from torch import nn

from search_spaces import SearchSpaceError, search_space
from search_spaces.own_networks.whole_networks import give_shapes, without_wrappers

SOURCE = """
import torch
from torch import nn
from torch.nn.utils import parametrizations

class Lazy(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(8, 3, padding=1), nn.LazyBatchNorm2d()
        self.head = nn.LazyLinear(num_classes)
    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))

class NeverCalled(Lazy):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.aux = nn.LazyLinear(4)

class Plain(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.norm = self.wrap(nn.Conv2d(1, 8, 3, padding=1)), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, num_classes)
    def wrap(self, layer):
        return layer
    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))

class Parallel(Plain):
    def wrap(self, layer):
        return nn.DataParallel(layer)

class Compiled(Plain):
    def wrap(self, layer):
        return torch.compile(layer, backend="eager")

def whole(num_classes):
    return nn.DataParallel(torch.compile(Plain(num_classes), backend="eager"))

class Normed(Plain):
    def wrap(self, layer):
        return parametrizations.weight_norm(layer)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    (folder / "own_wrapped.py").write_text(SOURCE)
    sys.path.append(str(folder))
    yield importlib.import_module("own_wrapped")
    sys.path.remove(str(folder))
    sys.modules.pop("own_wrapped", None)


def space(name):
    return search_space(f"own_wrapped:{name}").for_data((1, 6, 6), 3)


@pytest.mark.parametrize("name", ["Parallel", "Compiled", "whole"])
def test_a_wrapped_network_is_built_as_the_plain_one(module, name):
    found, plain = space(name), space("Plain")
    torch.manual_seed(0)
    built = found.build(found.largest())
    torch.manual_seed(0)
    expected = plain.build(plain.largest())
    assert list(built.state_dict()) == list(expected.state_dict())
    assert all(torch.equal(built.state_dict()[n], v) for n, v in expected.state_dict().items())
    assert found.full_widths() == plain.full_widths() == {"conv": 8}
    narrow = found.build(found.largest().replace({"conv": 3}))
    assert narrow(torch.zeros(2, 1, 6, 6)).shape == (2, 3)


def test_a_lazy_network_has_shapes_and_the_same_weights_for_the_same_seed(module):
    lazy = space("Lazy")
    built = []
    for _ in range(2):
        torch.manual_seed(1)
        built.append(lazy.build(lazy.largest()))
    assert built[0].conv.weight.shape == (8, 1, 3, 3)
    assert built[0].norm.training
    first, second = (net.state_dict() for net in built)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert int(first["norm.num_batches_tracked"]) == 0


def test_a_lazy_layer_that_nothing_calls_is_refused_by_name(module):
    with pytest.raises(SearchSpaceError, match=r"aux\.weight is lazy and the forward pass"):
        space("NeverCalled").full_widths()


def test_a_reparametrised_network_is_refused_before_it_is_traced(module):
    with pytest.raises(SearchSpaceError, match=r"conv\.weight is re-parametrised by WeightNorm"):
        space("Normed").full_widths()


def test_a_lazy_network_that_does_not_run_says_so():
    with pytest.raises(SearchSpaceError, match=r"does not run on inputs of \(2, 5\)"):
        give_shapes(nn.Sequential(nn.LazyLinear(4), nn.Linear(3, 3)), (torch.zeros(2, 5),))


def test_taking_wrappers_off_keeps_the_parts_and_what_they_share():
    layer = nn.Linear(3, 3)
    layer.compile(backend="eager")
    wrapped = torch.compile(layer, backend="eager")
    network = nn.Sequential(nn.DataParallel(wrapped), nn.ReLU(), wrapped, layer)
    plain = without_wrappers(network)
    assert plain is network
    assert plain[0] is plain[2] is plain[3] is layer
    assert layer._compiled_call_impl is None
    assert list(plain.state_dict()) == [f"{n}.{x}" for n in (0, 2, 3) for x in ("weight", "bias")]
    assert torch.equal(copy.deepcopy(plain)[0].weight, layer.weight)
