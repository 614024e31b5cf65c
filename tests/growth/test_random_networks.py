"""Any network: what a trace finds can be removed, gated and counted exactly."""

import copy
import functools
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cost_models
from growsearch.growth.budget.cost_terms import parameter_terms
from growsearch.growth.budget.traced_macs import traced_mac_terms
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.surgery.surgeon import Surgeon
from search_spaces import ChannelGroup, Member, channel_groups
from search_spaces.channel_groups import is_consumed, named_tensors
from search_spaces.trace_groups import declare_groups, trace_groups

SIZE = 4
ACTIVATIONS = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "tanh": torch.tanh,
    "cosine": torch.cos,
}


class Block(nn.Module):
    """Maps (N, c, h, w) to (N, out, h', w'); subclasses fill in ``make`` and ``run``."""

    def __init__(self, c: int, h: int, draw: random.Random) -> None:
        super().__init__()
        self.c = self.out = c
        self.h = h
        self.act = draw.choice(list(ACTIVATIONS))
        self.make(draw)

    def make(self, draw):
        pass

    def forward(self, x):
        return self.run(x)

    def activate(self, x):
        return ACTIVATIONS[self.act](x)


class ConvNorm(Block):
    def make(self, draw):
        self.out = draw.randint(3, 7)
        self.conv = nn.Conv2d(self.c, self.out, draw.choice([1, 3]), padding="same", bias=False)
        tracked = draw.random() < 0.8
        self.norm = nn.BatchNorm2d(
            self.out, affine=draw.random() < 0.8, track_running_stats=tracked
        )

    def run(self, x):
        return self.activate(self.norm(self.conv(x)))


class Bare(Block):
    def make(self, draw):
        self.out = draw.randint(3, 7)
        self.conv = nn.Conv2d(self.c, self.out, 3, padding=1)

    def run(self, x):
        return self.activate(self.conv(x))


class Depthwise(Block):
    def make(self, draw):
        factor = draw.choice([1, 2])
        kind = draw.choice([nn.Conv2d, nn.ConvTranspose2d])
        self.out = self.c * factor
        self.conv = kind(self.c, self.out, 3, padding=1, groups=self.c)
        self.norm = nn.BatchNorm2d(self.out)

    def run(self, x):
        return self.activate(self.norm(self.conv(x)))


class Transposed(Block):
    def make(self, draw):
        groups = 2 if self.c % 2 == 0 and draw.random() < 0.5 else 1
        self.out = 2 * draw.randint(2, 3)
        self.conv = nn.ConvTranspose2d(self.c, self.out, 3, 1, 1, groups=groups)
        self.norm = nn.BatchNorm2d(self.out)

    def run(self, x):
        return self.activate(self.norm(self.conv(x)))


class Residual(Block):
    """Its projection may have no norm, and its shortcut may be the raw stream."""

    def make(self, draw):
        self.out = draw.randint(3, 7)
        self.conv1, self.norm1 = nn.Conv2d(self.c, self.out, 3, padding=1), nn.BatchNorm2d(self.out)
        self.conv2, self.norm2 = nn.Conv2d(self.out, self.out, 1), nn.BatchNorm2d(self.out)
        self.kind = draw.choice(["plain", "normed", "raw"])
        self.project, self.norm3 = nn.Conv2d(self.c, self.out, 1), nn.BatchNorm2d(self.out)

    def run(self, x):
        raw = self.conv1(x)
        y = self.norm2(self.conv2(self.activate(self.norm1(raw))))
        if self.kind == "raw":
            return F.relu(y + raw)
        side = self.project(x)
        return F.relu(y + (self.norm3(side) if self.kind == "normed" else side))


class Identity(Block):
    """A residual block without a projection: it ties its input to its output."""

    def make(self, draw):
        self.conv1, self.norm1 = nn.Conv2d(self.c, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.conv2, self.norm2 = nn.Conv2d(5, self.c, 3, padding=1), nn.BatchNorm2d(self.c)

    def run(self, x):
        return F.relu(x + self.norm2(self.conv2(self.activate(self.norm1(self.conv1(x))))))


class Squeeze(Block):
    def make(self, draw):
        self.reduce, self.expand = nn.Conv2d(self.c, 4, 1), nn.Conv2d(4, self.c, 1)

    def run(self, x):
        scale = self.expand(self.activate(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(scale)


class PixelMask(Block):
    def make(self, draw):
        self.mask = nn.Conv2d(self.c, 1, 1)

    def run(self, x):
        return x * torch.sigmoid(self.mask(x))


class Gated(Block):
    def make(self, draw):
        self.out = draw.randint(3, 5)
        self.conv, self.norm = nn.Conv2d(self.c, 2 * self.out, 1), nn.BatchNorm2d(2 * self.out)

    def run(self, x):
        return F.glu(self.norm(self.conv(x)), 1)


class Mixing(Block):
    """Norms and scales over channels: no channel can go without a change of the others."""

    def make(self, draw):
        self.kind = draw.choice(["layer", "group", "mean", "softmax", "length", "width", "rms"])
        self.layer, self.group = nn.LayerNorm(self.c), nn.GroupNorm(1, self.c)

    def run(self, x):
        if self.kind == "layer":
            return self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.kind == "rms":
            return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)
        kinds = {
            "group": self.group,
            "mean": lambda y: y - y.mean(1, keepdim=True),
            "softmax": lambda y: y.softmax(1),
            "length": lambda y: F.normalize(y, dim=1),
            "width": lambda y: y * y.shape[1] ** -0.5,
        }
        return kinds[self.kind](x)


class Moving(Block):
    """What moves channels or places about."""

    def make(self, draw):
        even = ["shuffle", "swap", "pairs"] if self.c % 2 == 0 else []
        self.kind = draw.choice(["flip", "roll", "turn", "mirror", "twice", "each", *even])
        self.out = {"twice": 2 * self.c, "each": 2 * self.c, "pairs": self.c // 2}.get(
            self.kind, self.c
        )

    def run(self, x):
        n, c, h, w = x.shape
        if self.kind == "shuffle":
            return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        kinds = {
            "flip": lambda: x.flip(1),
            "roll": lambda: torch.roll(x, 1, 1),
            "turn": lambda: x.transpose(2, 3),
            "mirror": lambda: x.flip(3),
            "twice": lambda: torch.cat([x, -x], 1),
            "each": lambda: x.repeat_interleave(2, 1),
            "swap": lambda: torch.cat(x.chunk(2, 1)[::-1], 1),
            "pairs": lambda: x.view(n, c // 2, 2, h, w).amax(2),
        }
        return kinds[self.kind]()


class Joined(Block):
    """Two layers beside each other."""

    def make(self, draw):
        self.conv, self.norm = nn.Conv2d(self.c, 4, 1), nn.BatchNorm2d(4)
        self.out = self.c + 4

    def run(self, x):
        return torch.cat([x, self.activate(self.norm(self.conv(x)))], 1)


class Function(Block):
    """A layer that is written with a function and a parameter."""

    def make(self, draw):
        self.out = draw.randint(3, 6)
        self.kind = draw.choice(["conv", "einsum", "right", "left", "linear", "scaled"])
        shape = (self.c, self.out) if self.kind == "right" else (self.out, self.c)
        self.matrix = nn.Parameter(0.4 * torch.randn(*shape))
        self.shift = nn.Parameter(torch.zeros(self.out, 1, 1))
        self.norm = nn.BatchNorm2d(self.out)

    def run(self, x):
        n, _, h, w = x.shape
        kinds = {
            "conv": lambda: F.conv2d(x, self.matrix[:, :, None, None]),
            "einsum": lambda: torch.einsum("oc,nchw->nohw", self.matrix, x),
            "right": lambda: (x.permute(0, 2, 3, 1) @ self.matrix).permute(0, 3, 1, 2),
            "left": lambda: (self.matrix @ x.flatten(2)).view(n, -1, h, w),
            "linear": lambda: F.linear(x.permute(0, 2, 3, 1), self.matrix).permute(0, 3, 1, 2),
            "scaled": lambda: F.conv2d(x, 0.5 * self.matrix[:, :, None, None]),
        }
        return self.activate(self.norm(kinds[self.kind]() + self.shift))


class Attention(Block):
    """A non-local block; with scaled scores its inner width is part of the function."""

    def make(self, draw):
        self.query, self.key = nn.Conv2d(self.c, 4, 1), nn.Conv2d(self.c, 4, 1)
        self.value, self.back = nn.Conv2d(self.c, 5, 1), nn.Conv2d(5, self.c, 1)
        self.scaled = draw.random() < 0.5

    def run(self, x):
        q, k, v = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        scores = q.transpose(1, 2) @ k
        if self.scaled:
            scores = scores * q.shape[1] ** -0.5
        mixed = v @ scores.softmax(-1).transpose(1, 2)
        return x + self.back(mixed.view(x.shape[0], -1, *x.shape[2:]))


class Heads(Block):
    """Torch's own attention on a stream of four channels a head."""

    def make(self, draw):
        self.out = 8
        self.conv, self.norm = nn.Conv2d(self.c, 8, 1), nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def run(self, x):
        x = F.relu(self.norm(self.conv(x)))
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return (tokens + mixed).transpose(1, 2).reshape(x.shape)


BLOCKS = (
    *(ConvNorm, ConvNorm, Bare, Depthwise, Transposed, Residual, Identity, Squeeze, PixelMask),
    *(Gated, Mixing, Moving, Joined, Function, Attention, Heads),
)


class Network(nn.Module):
    """Three to five random blocks and a head that flattens or averages in some order of axes."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.blocks, c = nn.ModuleList([ConvNorm(1, SIZE, draw)]), 0
        c = self.blocks[0].out
        for _ in range(draw.randint(2, 4)):
            block = draw.choice(BLOCKS)(c, SIZE, draw)
            self.blocks.append(block)
            c = block.out
        self.order = draw.choice([None, (1, 2, 3), (2, 3, 1), (2, 1, 3), (3, 2, 1)])
        self.head = nn.Linear(c if self.order is None else c * SIZE**2, 3)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        if self.order is None:
            return self.head(x.mean((2, 3)))
        return self.head(x.permute(0, *self.order).flatten(1))


def traced(seed):
    """A random network in double precision that declares what a trace finds, and inputs."""
    return copy.deepcopy(traced_once(seed))


@functools.cache
def traced_once(seed):
    network = Network(seed)
    found = trace_groups(network, (torch.zeros(2, 1, SIZE, SIZE),))
    declare_groups(network, found.groups)
    network = network.double().eval()
    x = torch.randn(4, 1, SIZE, SIZE, dtype=torch.double)
    for _ in range(2):  # statistics near those of what comes in
        network.train()(x)
    with torch.no_grad():
        for name, tensor in named_tensors(network).items():
            if tensor.is_floating_point() and tensor.ndim == 1 and "running" not in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    return network.eval(), x


def removable(network):
    groups = channel_groups(network)
    return tuple(group for group in groups if not group.kept and not group.normalised)


def half(groups, first):
    return {
        g.name: torch.arange(first, g.size, 2) if g.size > 1 else torch.arange(0) for g in groups
    }


def without(network, groups, dead):
    """The network that the surgeon leaves when the channels ``dead`` go."""
    small = copy.deepcopy(network)
    surgeon = Surgeon(small, groups)
    live = torch.ones(surgeon.structures.total, dtype=torch.bool)
    for name, part in surgeon.structures.split(live).items():
        part[dead[name]] = False
    surgeon.seed(live)
    return small


def silenced(network, groups, dead):
    """The full network in which what reads these channels is zero."""
    full = copy.deepcopy(network)
    tensors = named_tensors(full)
    for group in groups:
        for member in group.members:
            if is_consumed(full, member):
                entries = member.entries(dead[group.name], group.size)
                tensors[member.tensor].detach().index_fill_(member.axis, entries, 0.0)
    return full


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


# The last one has a bare shortcut that happens to be closed on the examples of a trace.
SEEDS = (*range(20), 704)


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_half_of_every_group_removed_is_the_full_network_that_does_not_hear_them(seed):
    network, x = traced(seed)
    groups = removable(network)
    assert groups
    for first in (0, 1):
        dead = half(groups, first)
        assert_same(without(network, groups, dead)(x), silenced(network, groups, dead)(x))


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_a_gate_of_zero_is_the_removal_of_the_channel(seed):
    network, x = traced(seed)
    groups = removable(network)
    for group in groups:
        dead = half((group,), 0)
        gated = copy.deepcopy(network)
        gates = insert_gates(gated, groups)
        value = torch.ones(group.size, dtype=torch.double)
        value[dead[group.name]] = 0
        gates[group.name].set(value)
        assert_same(without(network, (group,), dead)(x), gated.eval()(x))


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_parameters_and_macs_at_any_widths_are_those_of_the_network(seed):
    network, x = traced(seed)
    groups = removable(network)
    macs = traced_mac_terms(network, groups, (x[:1],))
    parameters = parameter_terms(network, groups)
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        {
            g.name: torch.randperm(g.size, generator=generator)[
                : int(torch.randint(g.size, (1,), generator=generator))
            ]
            for g in groups
        }
        for _ in range(2)
    ]
    for dead in (*drawn, {g.name: torch.arange(1, g.size) for g in groups}):
        small = without(network, groups, dead)
        sizes = [group.size - len(dead[group.name]) for group in groups]
        work = cost_models.trace(small, (x[:1],))
        assert macs.exact(sizes) == work.dense_macs
        assert parameters.exact(sizes) == work.parameters


@torch.no_grad()
def test_a_group_in_the_wrong_order_is_seen():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 3, 1)

        def forward(self, x):
            return self.second(self.first(x).flip(1)).mean((2, 3))

    members = [Member(tensor=f"first.{leaf}", axis=0) for leaf in ("weight", "bias")]
    members.append(Member(tensor="second.weight", axis=1))
    wrong = ChannelGroup(name="wrong", size=6, members=tuple(members))
    network, x = Turned(), torch.randn(4, 1, SIZE, SIZE)
    declare_groups(network, (wrong,))
    dead = half((wrong,), 0)
    small, full = without(network, (wrong,), dead), silenced(network, (wrong,), dead)
    assert not torch.allclose(small(x), full(x))


def test_the_networks_hold_groups_gated_both_ways_and_groups_that_are_kept():
    groups = [group for seed in SEEDS for group in channel_groups(traced(seed)[0])]
    assert sum(group.gate == "readers" and not group.kept for group in groups) >= 10
    assert sum(group.gate == "norms" and not group.kept for group in groups) >= 10
    assert sum(bool(group.kept or group.normalised) for group in groups) >= 5
    assert any(member.blocks > 1 for group in groups for member in group.members)
    assert any(member.repeat > 1 for group in groups for member in group.members)
