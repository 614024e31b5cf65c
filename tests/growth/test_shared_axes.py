"""Axes that hold channels of several groups: removal, gates, widths and costs, by function.

Networks as published ones are built, small and by hand.
"""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cost_models
from growsearch.growth.budget.cost_terms import parameter_terms
from growsearch.growth.budget.traced_macs import traced_mac_terms
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.surgery.surgeon import Surgeon
from search_spaces import channel_groups, resize
from search_spaces.channel_groups import is_consumed, named_tensors
from search_spaces.fresh_weights import initialise_network
from search_spaces.trace_groups import declare_groups, trace_groups

SIZE = 8


class ConvNorm(nn.Sequential):
    def __init__(self, inputs, outputs, kernel=3, **changes):
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **changes)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Headed(nn.Module):
    """A body on images of two colours, and a linear layer on the means of what it puts out."""

    def __init__(self, width):
        super().__init__()
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 6, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, growth, 3, padding=1, bias=False)

    def forward(self, features):
        x = torch.cat(features, 1)
        return self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))


class DenseNet(Headed):
    """Two dense layers, a transition that halves, one more, and a norm over all of them."""

    def __init__(self):
        super().__init__(8)
        self.stem = ConvNorm(2, 4)
        self.one, self.two = DenseLayer(4, 3), DenseLayer(7, 3)
        self.norm, self.transition = nn.BatchNorm2d(10), nn.Conv2d(10, 5, 1, bias=False)
        self.three, self.last = DenseLayer(5, 3), nn.BatchNorm2d(8)

    def body(self, x):
        features = [self.stem(x)]
        for layer in (self.one, self.two):
            features.append(layer(features))
        x = self.transition(torch.relu(self.norm(torch.cat(features, 1))))
        x = F.avg_pool2d(x, 2)
        return torch.relu(self.last(torch.cat([x, self.three([x])], 1)))


class GoogLeNet(Headed):
    """Two modules of four branches, the first behind an image and its pooled copy."""

    def __init__(self):
        super().__init__(14)
        self.stem = ConvNorm(2, 4)
        self.first, self.second = self._branches(4), self._branches(14)

    def _branches(self, inputs):
        return nn.ModuleList(
            [
                ConvNorm(inputs, 3, 1),
                nn.Sequential(ConvNorm(inputs, 4, 1), ConvNorm(4, 5)),
                nn.Sequential(ConvNorm(inputs, 2, 1), ConvNorm(2, 4)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvNorm(inputs, 2, 1)),
            ]
        )

    def body(self, x):
        x = self.stem(x)
        for branches in (self.first, self.second):
            x = torch.cat([branch(x) for branch in branches], 1)
        return x


class UNet(Headed):
    def __init__(self):
        super().__init__(4)
        self.down0, self.down1, self.down2 = ConvNorm(2, 4), ConvNorm(4, 6), ConvNorm(6, 7)
        self.up1, self.up0 = nn.ConvTranspose2d(7, 5, 2, 2), nn.ConvTranspose2d(6, 3, 2, 2)
        self.join1, self.join0 = ConvNorm(11, 6), ConvNorm(7, 4)

    def body(self, x):
        skip0 = self.down0(x)
        skip1 = self.down1(F.max_pool2d(skip0, 2))
        x = self.down2(F.max_pool2d(skip1, 2))
        x = self.join1(torch.cat([skip1, self.up1(x)], 1))
        return self.join0(torch.cat([self.up0(x), skip0], 1))


class DLA(Headed):
    """A root on two tensors of one residual stream, and on what went into the tree."""

    def __init__(self):
        super().__init__(5)
        self.stem, self.project = ConvNorm(2, 4), ConvNorm(4, 6, 1)
        self.one, self.two = ConvNorm(6, 6), ConvNorm(6, 6)
        self.root = ConvNorm(16, 5, 1)

    def body(self, x):
        x = self.stem(x)
        stream = self.project(x)
        x1 = torch.relu(self.one(stream) + stream)
        x2 = torch.relu(self.two(x1) + x1)
        return self.root(torch.cat([x2, x1, x], 1))


class CSP(Headed):
    """Cross-stage partial as in YOLO: halves of one layer, and all that a chain puts out."""

    def __init__(self):
        super().__init__(6)
        self.enter = ConvNorm(2, 8, 1)
        self.one, self.two = ConvNorm(4, 4), ConvNorm(4, 5)
        self.leave = ConvNorm(17, 6, 1)

    def body(self, x):
        parts = list(self.enter(x).chunk(2, 1))
        parts.append(self.one(parts[-1]) + parts[-1])
        parts.append(self.two(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Squeeze(Headed):
    """SqueezeNet's fire: no norms; what expands is read by two layers of the next."""

    def __init__(self):
        super().__init__(7)
        self.squeeze, self.small, self.large = (
            nn.Conv2d(2, 4, 1),
            nn.Conv2d(4, 5, 1),
            nn.Conv2d(4, 3, 3, padding=1),
        )
        self.next = nn.Conv2d(8, 7, 1)

    def body(self, x):
        x = torch.relu(self.squeeze(x))
        x = torch.cat([self.small(x), self.large(x)], 1).relu()
        return torch.relu(self.next(x))


class WithImage(Headed):
    """Feature maps between the colours of the image, behind one norm, depthwise, and again."""

    def __init__(self):
        super().__init__(6)
        self.stem, self.norm = ConvNorm(2, 5), nn.BatchNorm2d(9)
        self.each = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.join = ConvNorm(9, 6, 1)

    def body(self, x):
        x = torch.cat([x, self.stem(x), x.flip(2)], 1)
        return self.join(torch.relu(self.each(torch.relu(self.norm(x)))))


class Flattened(nn.Module):
    """Concatenated maps are flattened, channels first or last, and read by a linear layer."""

    def __init__(self, last):
        super().__init__()
        self.left, self.right = ConvNorm(2, 3, stride=4), ConvNorm(2, 2, stride=4)
        self.head, self.last = nn.Linear(20, 3), last

    def forward(self, x):
        x = torch.cat([self.left(x), self.right(x)], 1)
        return self.head((x.permute(0, 2, 3, 1) if self.last else x).flatten(1))


class Cats(Headed):
    """One way to concatenate what three layers of 4, 3 and 5 channels put out."""

    def __init__(self, cat, width):
        super().__init__(6)
        self.one, self.two, self.three = ConvNorm(2, 4), ConvNorm(2, 3), ConvNorm(2, 5)
        self.cat, self.join = cat, ConvNorm(width, 6, 1)

    def body(self, x):
        return self.join(self.cat(self.one(x), self.two(x), self.three(x)))


class Two(Headed):
    """One way to bring together two layers of 4 channels each."""

    def __init__(self, both, width):
        super().__init__(6)
        self.one, self.two, self.both = ConvNorm(2, 4), ConvNorm(2, 4), both
        self.join = ConvNorm(width, 6, 1)

    def body(self, x):
        return self.join(self.both(self.one(x), self.two(x)))


def group_norm(channels):
    return nn.GroupNorm(channels // 2, channels)


class ResNeXt(Headed):
    """A block whose convolution in four groups puts out fewer channels than it takes in."""

    def __init__(self):
        super().__init__(6)
        self.stem, self.enter = ConvNorm(2, 6), ConvNorm(6, 12, 1)
        self.grouped = ConvNorm(12, 8, groups=4)
        self.leave = nn.Sequential(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6))

    def body(self, x):
        x = self.stem(x)
        return torch.relu(self.leave(self.grouped(self.enter(x))) + x)


class GroupNorms(Headed):
    """A stream behind norms of two channels each, one of them behind a grouped convolution."""

    def __init__(self):
        super().__init__(8)
        self.stem, self.norm = nn.Conv2d(2, 8, 3, padding=1), group_norm(8)
        self.enter, self.norm1 = nn.Conv2d(8, 12, 3, padding=1), group_norm(12)
        self.grouped, self.norm2 = nn.Conv2d(12, 12, 3, padding=1, groups=3), group_norm(12)
        self.leave, self.norm3 = nn.Conv2d(12, 8, 1), group_norm(8)

    def body(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        y = torch.relu(self.norm1(self.enter(x)))
        y = torch.relu(self.norm2(self.grouped(y)))
        return torch.relu(self.norm3(self.leave(y)) + x)


class GroupsOfTwo(Headed):
    """A grouped convolution, a transposed one and a norm in groups behind a concatenation."""

    def __init__(self):
        super().__init__(6)
        self.left, self.right = ConvNorm(2, 8), ConvNorm(2, 4)
        self.norm, self.grouped = nn.GroupNorm(6, 12), ConvNorm(12, 6, groups=6)
        self.up, self.join = nn.ConvTranspose2d(6, 9, 2, 2, groups=3), ConvNorm(9, 6, 1)

    def body(self, x):
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1))
        return self.join(torch.relu(self.up(self.grouped(x))))


NETWORKS = {
    "ResNeXt": ResNeXt,
    "GroupNorm": GroupNorms,
    "concatenated groups": GroupsOfTwo,
    "DenseNet": DenseNet,
    "GoogLeNet": GoogLeNet,
    "U-Net": UNet,
    "DLA": DLA,
    "CSP": CSP,
    "SqueezeNet": Squeeze,
    "image": WithImage,
    "flattened": lambda: Flattened(last=False),
    "flattened, channels last": lambda: Flattened(last=True),
    "three": lambda: Cats(lambda a, b, c: torch.cat([a, b, c], 1), 12),
    "nested": lambda: Cats(lambda a, b, c: torch.cat([c, torch.cat([b, a], 1)], 1), 12),
    "one of them twice": lambda: Cats(lambda a, b, c: torch.cat([a, b, a, c], 1), 16),
    "all of them twice": lambda: Cats(lambda a, b, c: torch.cat([a, b, c] * 2, 1), 24),
    "side by side": lambda: Two(lambda a, b: torch.cat([a, b], 3), 4),
    "interleaved": lambda: Two(lambda a, b: torch.stack([a, b], 2).flatten(1, 2), 8),
    "stacked": lambda: Two(lambda a, b: torch.stack([a, b], 1).flatten(1, 2), 8),
    "shuffled": lambda: Two(lambda a, b: F.channel_shuffle(torch.cat([a, b], 1), 2), 8),
    "gated by the other": lambda: Two(lambda a, b: F.glu(torch.cat([a, b], 1), 1), 4),
}


@functools.cache
def traced_once(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    found = trace_groups(network, (torch.zeros(2, 2, SIZE, SIZE),))
    declare_groups(network, found.groups)
    network = network.double()
    x = torch.randn(4, 2, SIZE, SIZE, dtype=torch.double)
    with torch.no_grad():
        for _ in range(2):
            network.train()(x)
        for tensor in named_tensors(network).values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.add_(0.3 * torch.rand_like(tensor))
    return network.eval(), x, found


def traced(name):
    network, x, found = traced_once(name)
    return copy.deepcopy(network), x, found


EXPECTED = {
    "DenseNet": {
        "stem.0": 4,
        **{f"{name}.conv1": 6 for name in ("one", "two", "three")},
        **{f"{name}.conv2": 3 for name in ("one", "two", "three")},
        "transition": 5,
    },
    "U-Net": {
        "down0.0": 4,
        "down1.0": 6,
        "down2.0": 7,
        "up1": 5,
        "up0": 3,
        "join1.0": 6,
        "join0.0": 4,
    },
    "DLA": {"stem.0": 4, "project.0": 6, "root.0": 5},
    "CSP": {"enter.0": 4, "two.0": 5, "leave.0": 6},
    "SqueezeNet": {"squeeze": 4, "small": 5, "large": 3, "next": 7},
    "image": {"stem.0": 5, "join.0": 6},
    "flattened": {"left.0": 3, "right.0": 2},
    "one of them twice": {"one.0": 4, "two.0": 3, "three.0": 5, "join.0": 6},
    "side by side": {"one.0": 4, "join.0": 6},
    "interleaved": {"one.0": 4, "join.0": 6},
    "stacked": {"one.0": 4, "join.0": 6},
    "shuffled": {"one.0": 4, "join.0": 6},
    "ResNeXt": {"stem.0": 6, "enter.0": 4},
    "GroupNorm": {"stem": 4, "enter": 3},
    "concatenated groups": {"left.0": 2, "right.0": 1, "join.0": 6},
    "gated by the other": {"one.0": 4, "join.0": 6},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_layer_is_in_a_group_by_its_name(name):
    _, _, found = traced(name)
    assert {group.name: group.size for group in found.groups} == EXPECTED[name]
    assert not any(group.kept for group in found.groups)
    assert found.fixed == ("head",)


def half(groups, first):
    return {
        g.name: torch.arange(first, g.size, 2) if g.size > 1 else torch.arange(0) for g in groups
    }


def without(network, dead):
    small = copy.deepcopy(network)
    groups = channel_groups(small)
    surgeon = Surgeon(small, groups)
    live = torch.ones(surgeon.structures.total, dtype=torch.bool)
    for name, part in surgeon.structures.split(live).items():
        part[dead.get(name, torch.arange(0))] = False
    surgeon.seed(live)
    return small


def silenced(network, dead):
    full = copy.deepcopy(network)
    tensors = named_tensors(full)
    for group in channel_groups(full):
        for member in group.members:
            if is_consumed(full, member):
                entries = member.entries(dead.get(group.name, torch.arange(0)), group.size)
                tensors[member.tensor].detach().index_fill_(member.axis, entries, 0.0)
    return full


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_what_is_left_is_the_full_network_that_does_not_hear_the_rest(name):
    network, x, _ = traced(name)
    groups = channel_groups(network)
    assert not torch.equal(network(x)[0], network(x)[1])
    removals = [half(groups, 0), half(groups, 1), *(half((group,), 0) for group in groups)]
    for dead in removals:
        small = without(network, dead)
        assert_same(small(x), silenced(network, dead)(x))
        assert {g.name: g.size for g in channel_groups(small)} == {
            g.name: g.size - len(dead.get(g.name, ())) for g in groups
        }


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_gates_of_zero_are_the_removal_also_once_others_have_gone(name):
    network, x, _ = traced(name)
    groups = channel_groups(network)
    gone, closed = half(groups[::2], 0), half(groups[1::2], 1)
    gated = copy.deepcopy(network)
    gates = insert_gates(gated, groups)
    for group_name, dead in closed.items():
        value = torch.ones(len(gates[group_name].value), dtype=torch.double)
        value[dead] = 0
        gates[group_name].set(value)
    surgeon = Surgeon(gated, groups)
    live = torch.ones(surgeon.structures.total, dtype=torch.bool)
    for group_name, part in surgeon.structures.split(live).items():
        if group_name in gone:
            part[gone[group_name]] = False
            gates[group_name].set(torch.ones(int(part.sum()), dtype=torch.double))
    surgeon.seed(live)
    assert_same(gated.eval()(x), without(network, gone | closed)(x))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_costs_at_any_widths_are_those_of_the_network(name):
    network, x, _ = traced(name)
    groups = channel_groups(network)
    macs, parameters = traced_mac_terms(network, groups, (x[:1],)), parameter_terms(network, groups)
    for dead in (half(groups, 0), half(groups, 1), half(groups[::2], 0)):
        work = cost_models.trace(without(network, dead), (x[:1],))
        sizes = [group.size - len(dead.get(group.name, ())) for group in groups]
        assert macs.exact(sizes) == work.dense_macs
        assert parameters.exact(sizes) == work.parameters


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_group_can_have_more_channels(name):
    network, x, _ = traced(name)
    wanted = {g.name: g.size + 1 + place % 3 for place, g in enumerate(channel_groups(network))}
    resize(network, wanted)
    assert {group.name: group.size for group in channel_groups(network)} == wanted
    initialise_network(network)
    assert network(x).shape == (4, 3)
