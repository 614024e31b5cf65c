"""Branches that networks can do without, found and proven."""

import copy

import any_networks
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import ChannelGroup, Member, SearchSpaceError
from search_spaces.trace_units import trace_units
from search_spaces.units import Nothing, PassedBy, detach, is_detached

X = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
BLOCKS = {
    any_networks.ViT: ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp"],
    any_networks.ScaledViT: ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp"],
    any_networks.GPT: ["h.0.attn", "h.0.mlp", "h.1.attn", "h.1.mlp"],
    any_networks.ConvNeXt: ["stage1.0", "stage1.1", "stage2.0", "stage2.1"],
    any_networks.ResNet: ["layer1.0", "layer2.1"],
    any_networks.SEResNet: ["layer1.0", "layer2.1"],
    any_networks.NFNet: ["blocks.0", "blocks.1"],
    any_networks.StandardisedNFNet: ["blocks.0", "blocks.1"],
    any_networks.MobileNet: ["features.3", "features.4"],
    any_networks.Bare: [],
}


def made(network):
    torch.manual_seed(0)
    return network().eval()


@pytest.mark.parametrize("network", BLOCKS)
def test_every_residual_branch_of_a_network_is_a_unit(network):
    module = made(network)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    units = trace_units(module, (), (X,))
    assert [unit.name for unit in units] == [f"unit:{path}" for path in BLOCKS[network]]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())


@pytest.mark.parametrize("network", [any_networks.ScaledViT, any_networks.ResNet])
def test_without_a_unit_the_network_is_the_one_whose_branch_is_multiplied_by_zero(network):
    module = made(network)
    for unit in trace_units(module, (), (X,)):
        closed, without = copy.deepcopy(module), copy.deepcopy(module)
        for name in unit.closing:
            nn.init.zeros_(closed.get_parameter(name))
        layers = detach(without, unit)
        torch.testing.assert_close(without(X), closed(X))
        assert is_detached(without, unit)
        assert not any(unit.holds(name) for name, _ in without.named_parameters())
        for path, layer in layers.items():
            without.set_submodule(path, layer)
        assert torch.equal(without(X), module(X))


class Chain(nn.Module):
    """A stem, what `middle` does with a layer, and a head."""

    def __init__(self):
        super().__init__()
        self.stem, self.layer, self.other = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.middle(torch.relu(self.stem(x.flatten(1)[:, :6]))))


class TwoSides(Chain):
    """A sum of two layers: neither is a stream that the other was computed from."""

    def middle(self, x):
        return self.layer(x) + self.other(x)


class Scaled(Chain):
    """A product is no sum."""

    def middle(self, x):
        return x * self.layer(x).sigmoid()


class Opened(Chain):
    """With its layer at zero the branch adds a half."""

    def middle(self, x):
        return x + self.layer(x).sigmoid()


class Reused(Chain):
    """What the branch computes is heard elsewhere as well."""

    def middle(self, x):
        y = self.layer(x)
        return (x + y) * self.other(y).sigmoid()


class Twice(Chain):
    """One layer in two places."""

    def middle(self, x):
        x = x + self.layer(x)
        return x + self.layer(x)


class Tied(Chain):
    """A weight that is used outside as well."""

    def __init__(self):
        super().__init__()
        self.other.weight = self.layer.weight

    def middle(self, x):
        return self.other(x + self.layer(x))


class Concatenated(Chain):
    def middle(self, x):
        return torch.cat([x[:, :4], self.layer(x)[:, :4]], 1)


class Narrowed(Chain):
    """An activation behind the sum that changes the stream itself."""

    def middle(self, x):
        return torch.tanh(x + self.layer(x))


class Parallel(Chain):
    def middle(self, x):
        return x + self.layer(x) + self.other(x).relu()


class InPlace(Chain):
    def middle(self, x):
        x += 0.5 * self.layer(x)
        return x


class Pair(nn.Module):
    """Attention as libraries write it: the output, and weights or None."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, hidden, mask=None):
        return self.inner(hidden), mask


class ByName(Chain):
    def __init__(self):
        super().__init__()
        self.layer = Pair()

    def middle(self, x):
        out, _ = self.layer(mask=None, hidden=F.layer_norm(x, (8,)))
        return x + out


class Attends(Chain):
    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def middle(self, x):
        x = x.unsqueeze(1)
        return (x + self.layer(x, x, x, need_weights=False)[0]).squeeze(1)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        x = x + self.first(x)
        return self.second(x)


class Nested(Chain):
    """A branch inside another one."""

    def __init__(self):
        super().__init__()
        self.layer = Inner()

    def middle(self, x):
        return x + self.layer(x)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        *((network, []) for network in (TwoSides, Scaled, Opened, Reused, Twice, Tied)),
        *((network, []) for network in (Concatenated,)),
        (Narrowed, ["layer"]),
        (Parallel, ["layer", "other"]),
        (InPlace, ["layer"]),
        (ByName, ["layer"]),
        (Attends, ["layer"]),
        (Nested, ["layer.first"]),
    ],
)
def test_a_branch_is_what_is_added_to_its_own_source_and_heard_nowhere_else(network, found):
    units = trace_units(made(network), (), (X,))
    assert [unit.module for unit in units] == found


def test_a_frozen_branch_stays():
    module = made(Parallel)
    module.layer.bias.requires_grad = False
    assert [unit.module for unit in trace_units(module, (), (X,))] == ["other"]


def test_groups_of_which_all_lies_inside_are_named():
    def group(name, *tensors):
        return ChannelGroup(
            name=name, size=8, members=tuple(Member(tensor=t, axis=0) for t in tensors)
        )

    groups = (group("in", "layer.first.weight"), group("out", "layer.first.bias", "stem.bias"))
    (unit,) = trace_units(made(Nested), groups, (X,))
    assert unit.groups == ("in",)


def test_a_network_that_does_not_run_is_refused():
    with pytest.raises(SearchSpaceError, match="Linear cannot be traced"):
        trace_units(nn.Linear(3, 3), (), (torch.zeros(2, 4),))


def test_what_stands_in_takes_any_arguments_and_keeps_the_form_of_what_was_there():
    x = torch.randn(2, 3)
    assert PassedBy()(x, None, flag=True) is x
    assert PassedBy(2)(None, hidden=x) == (x, None)
    assert torch.equal(Nothing()(x), torch.zeros(2, 3))
    assert repr(Nothing(2)) == "Nothing(length=2)"
    with pytest.raises(TypeError, match="without a tensor"):
        PassedBy()(None)
