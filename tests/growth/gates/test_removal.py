"""A gate of 0 equals the removal of its channel, whatever lies between layers, or nothing grows."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.surgery.surgeon import Surgeon
from search_spaces import channel_groups
from search_spaces.trace_groups import declare_groups, trace_groups

SIZE = 4


class Flattened(nn.Module):
    """Two layers, then ``moved``, then a head on all that comes out."""

    def __init__(self, moved, act=torch.relu) -> None:
        super().__init__()
        self.moved, self.act = moved, act
        self.one, self.norm1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.two, self.norm2 = nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * SIZE**2, 3)

    def forward(self, x):
        x = torch.relu(self.norm1(self.one(x)))
        return self.head(self.moved(self.act(self.norm2(self.two(x)))).flatten(1))


class Residual(nn.Module):
    """A stream into which a shortcut ``kind`` is added, read by one more layer behind ``act``."""

    def __init__(self, kind, act=torch.relu) -> None:
        super().__init__()
        self.kind, self.act = kind, act
        self.stem, self.norm0 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.one, self.norm1 = nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.two, self.norm2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.project = nn.Conv2d(4, 6, 1)
        self.last, self.norm3 = nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5)
        self.head = nn.Linear(5, 3)

    def shortcut(self, x, raw):
        if self.kind == "raw":
            return raw
        if self.kind == "pooled":
            return F.avg_pool2d(raw, 3, 1, 1)
        side = self.project(x)
        return {
            "bare": lambda: side,
            "acted": lambda: F.softplus(side),
            "twice": lambda: side + raw,
            "product": lambda: side * torch.sigmoid(raw),
        }[self.kind]()

    def forward(self, x):
        x = torch.relu(self.norm0(self.stem(x)))
        raw = self.one(x)
        y = self.norm2(self.two(torch.relu(self.norm1(raw))))
        y = self.act(y + self.shortcut(x, raw))
        return self.head(torch.relu(self.norm3(self.last(y))).mean((2, 3)))


def traced(network):
    """The network with what its trace found, and statistics that are not those of a start."""
    torch.manual_seed(0)
    found = trace_groups(network, (torch.zeros(2, 1, SIZE, SIZE),))
    declare_groups(network, found.groups)
    network = network.double()
    x = torch.randn(4, 1, SIZE, SIZE, dtype=torch.double)
    with torch.no_grad():
        network.train()(x)
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval(), x, found


def without(network, groups, name, channel):
    small = copy.deepcopy(network)
    surgeon = Surgeon(small, groups)
    live = torch.ones(surgeon.structures.total, dtype=torch.bool)
    surgeon.structures.split(live)[name][channel] = False
    surgeon.seed(live)
    return small


@torch.no_grad()
def assert_gates_close(network, x):
    """Assert it of every channel of every group that may grow; return the groups' names."""
    groups = tuple(group for group in channel_groups(network) if not group.kept)
    for group in groups:
        for channel in range(group.size):
            gated = copy.deepcopy(network)
            value = torch.ones(group.size, dtype=torch.double)
            value[channel] = 0
            insert_gates(gated, groups)[group.name].set(value)
            torch.testing.assert_close(
                without(network, groups, group.name, channel)(x),
                gated.eval()(x),
                rtol=1e-9,
                atol=1e-9,
            )
    return {group.name for group in groups}


MOVES = {
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "channels in the middle": lambda x: x.permute(0, 2, 1, 3),
    "rows of channels last, upside down": lambda x: x.permute(0, 3, 2, 1).flip(1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "tokens, rolled": lambda x: torch.roll(x.flatten(2).transpose(1, 2), 3, 1),
    "mirrored maps": lambda x: x.flip(3).roll(1, 2),
    "einsum": lambda x: torch.einsum("nchw->nhwc", x),
    "moveaxis and stack": lambda x: torch.stack(x.movedim(1, -1).unbind(1)[::-1], 1),
}


@pytest.mark.parametrize("moved", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("act", [torch.relu, torch.sigmoid])
def test_channels_that_are_moved_and_flattened_grow_with_what_reads_them(moved, act):
    network, x, _ = traced(Flattened(moved, act))
    assert assert_gates_close(network, x) == {"one", "two"}


TURNED = {
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(1, 1),
    "flip behind a permutation": lambda x: x.permute(0, 2, 3, 1).flip(3),
    "roll of flattened entries": lambda x: torch.roll(x.flatten(1), 1, 1),
}


@pytest.mark.parametrize("moved", TURNED.values(), ids=TURNED)
def test_channels_in_another_order_keep_their_number_by_name(moved):
    network, x, found = traced(Flattened(moved))
    assert assert_gates_close(network, x) == {"one"}
    assert found.reasons["two"] == "head has its channels in another order or number"


TOGETHER = {
    "odd ones first": lambda x: torch.cat([x[:, 1::2], x[:, ::2]], 1),
    "shuffle": lambda x: x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2),
}


@pytest.mark.parametrize("moved", TOGETHER.values(), ids=TOGETHER)
def test_channels_that_keep_an_order_together_grow_together(moved):
    network, x, found = traced(Flattened(moved))
    assert assert_gates_close(network, x) == {"one", "two"}
    assert {group.name: group.size for group in found.groups} == {"one": 4, "two": 3}


def test_channels_that_a_roll_parts_are_kept():
    network, x, found = traced(Flattened(lambda x: x.roll(2, 1)))
    assert assert_gates_close(network, x) == {"one"}
    assert next(group.kept for group in found.groups if group.name == "two")


SHORTCUTS = [
    *((kind, torch.relu) for kind in ("bare", "raw", "pooled", "acted", "twice", "product")),
    *(("bare", act) for act in (torch.sigmoid, F.softplus, F.hardsigmoid, torch.cos, F.mish)),
    *(("raw", act) for act in (torch.sigmoid, F.softplus)),
]


@pytest.mark.parametrize(("kind", "act"), SHORTCUTS)
def test_gates_close_behind_any_shortcut_and_activation(kind, act):
    network, x, found = traced(Residual(kind, act))
    growing = assert_gates_close(network, x)
    assert {"stem", "last"} <= growing
    streams = [g for g in found.groups if any(m.tensor == "norm2.weight" for m in g.members)]
    assert [group.gate for group in streams] == ["readers"]
    assert growing == {group.name for group in found.groups}
