"""Norms that hear of a channel as far as its gate is open."""

import copy

import pytest
import torch
from any_networks import LayerNorm2d, RMSNorm
from torch import nn
from torch.nn import functional as F

from growsearch.growth.gates.exactness import exactly_gated
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.gates.statistics import statistics_gates
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates
from growsearch.training import Recipe, make_optimizer
from search_spaces import ChannelGroup, Member
from search_spaces.trace_groups import declare_groups
from search_spaces.tracing.channel_removal import keep_channels

RECIPE = Recipe(epochs=2, batch_size=8)
LIVE = torch.tensor([0, 2, 3])


class OwnLayerNorm(nn.Module):
    """By a variance without Bessel's correction, and with a mean of its own."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        var = torch.var(x, dim=-1, unbiased=False, keepdim=True)
        x = (x - x.mean(dim=-1, keepdim=True)) / (var + 1e-5).sqrt()
        return x * self.weight + self.bias


class Moments(OwnLayerNorm):
    def forward(self, x):
        var, mean = torch.var_mean(x, -1, keepdim=True, correction=1)
        return (x - mean) * torch.rsqrt(var + 1e-5) * self.weight + self.bias


class Hidden(nn.Module):
    """A statistic that no gate can reach: code takes it by a product with ones."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        ones = torch.ones(x.shape[-1], 1, dtype=x.dtype)
        return self.weight * x / (1 + (x.square() @ ones) / x.shape[-1])


class Normed(nn.Module):
    """Five channels, a norm over them, and what reads them before it and behind it."""

    def __init__(self, norm, axis=1):
        super().__init__()
        self.make, self.norm = nn.Linear(4, 5), norm
        self.axis = axis
        self.past, self.head = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x):
        x = self.make(x)
        normed = self.norm(x.transpose(1, self.axis)).transpose(1, self.axis)
        return self.head(normed) + self.past(torch.sigmoid(x))


def network(norm, axis=1):
    torch.manual_seed(0)
    module = Normed(norm, axis).eval()
    with torch.no_grad():
        for parameter in module.norm.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    names = [f"norm.{name}" for name, p in module.norm.named_parameters() if p.shape[0] == 5]
    made = (Member(tensor=n, axis=0) for n in ("make.weight", "make.bias", *names))
    read = (Member(tensor=n, axis=1) for n in ("past.weight", "head.weight"))
    members = (*made, *read)
    group = ChannelGroup(name="made", size=5, members=members, normalised=("norm",))
    declare_groups(module, (group,))
    return module, group, torch.randn(6, 3, 4)


NORMS = {
    "layer": lambda: network(nn.LayerNorm(5)),
    "rms": lambda: network(nn.RMSNorm(5)),
    "rms of its own": lambda: network(RMSNorm(5)),
    "group": lambda: network(nn.GroupNorm(1, 5), axis=2),
    "layer of its own": lambda: network(OwnLayerNorm(5)),
    "moments": lambda: network(Moments(5)),
    "over places, too": lambda: network(nn.LayerNorm((5, 3)), axis=2),
}
CASES = pytest.mark.parametrize("make", NORMS.values(), ids=NORMS.keys())


@CASES
def test_open_gates_leave_the_network_as_it_is(make):
    module, group, x = make()
    plain = copy.deepcopy(module)
    insert_gates(module, (group,))
    torch.testing.assert_close(module(x), plain(x))


@CASES
def test_closed_gates_are_removed_channels(make):
    module, group, x = make()
    small = copy.deepcopy(module)
    keep_channels(small, (group,), {"made": LIVE})
    insert_gates(module, (group,))["made"].set(torch.tensor([1.0, 0, 1, 1, 0]))
    torch.testing.assert_close(module(x), small(x))
    assert exactly_gated(make()[0], (group,), (x,)) == {"made"}


@pytest.mark.parametrize("name", [n for n in NORMS if n != "rms of its own"])  # rounds to single
def test_the_gradient_of_a_gate_is_that_of_its_function(name):
    module, group, x = NORMS[name]()
    module, x = module.double(), x[:2].double()
    gate = insert_gates(module, (group,))["made"]

    def loss(value):
        gate.value = value
        return module(x).square().sum()

    value = torch.tensor([1.0, 0.3, 0.5, 0.9, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, value)


def test_weighted_statistics_are_those_of_the_formula():
    module, group, x = network(nn.LayerNorm(5, eps=0.0))
    g = torch.tensor([1.0, 0.25, 0.5, 0.75, 0.0])
    insert_gates(module, (group,))["made"].set(g)
    made, norm = module.make(x), module.norm
    mean = (g * made).sum(-1, keepdim=True) / g.sum()
    var = (g * (made - mean) ** 2).sum(-1, keepdim=True) / g.sum()
    expected = (made - mean) / var.sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(module.norm(made), expected)


def test_a_norm_over_feature_maps_is_gated_along_their_channels():
    torch.manual_seed(0)
    # As wide as it has channels: which axis they are on, sizes do not tell.
    module = nn.Sequential(nn.Conv2d(1, 5, 1), LayerNorm2d(5), nn.Conv2d(5, 2, 1)).eval()
    names = ("0.weight", "0.bias", "1.weight", "1.bias")
    members = (*(Member(tensor=n, axis=0) for n in names), Member(tensor="2.weight", axis=1))
    group = ChannelGroup(name="0", size=5, members=members, normalised=("1",))
    assert exactly_gated(module, (group,), (torch.zeros(2, 1, 5, 5),)) == {"0"}


def test_statistics_out_of_reach_are_found_out():
    module, group, x = network(Hidden(5))
    assert exactly_gated(module, (group,), (x,)) == set()


def test_only_what_is_heard_is_in_the_statistics_and_copies_have_gates_of_their_own():
    module, group, x = network(nn.LayerNorm(5))
    gates = insert_gates(module, (group,))
    twin = copy.deepcopy(module)
    (gate,) = statistics_gates(twin)
    gate.hear_only({"made": torch.tensor([True, False, True, True, False])})
    made = module.make(x)
    live = F.layer_norm(made[..., LIVE], (3,), module.norm.weight[LIVE], module.norm.bias[LIVE])
    torch.testing.assert_close(twin.norm(made)[..., LIVE], live)
    assert torch.equal(gates["made"].value, torch.ones(5))
    assert not torch.allclose(module.norm(made)[..., LIVE], live)


def test_a_norm_answers_plainly_after_it_has_failed():
    module, group, x = network(nn.LayerNorm(5))
    gates = insert_gates(module, (group,))
    with pytest.raises(RuntimeError):
        module.norm(x)
    gates["made"].set(torch.tensor([1.0, 0, 1, 1, 0]))
    torch.testing.assert_close(F.layer_norm(x, (4,)).mean(-1), torch.zeros(6, 3))


def test_in_half_precision_statistics_are_taken_in_single():
    module, group, x = network(nn.LayerNorm(5))
    plain = copy.deepcopy(module)
    insert_gates(module, (group,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = module.norm(module.make(x)), plain.norm(plain.make(x))
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_folding_leaves_a_plain_network_whose_readers_have_the_gates():
    module, group, x = network(nn.LayerNorm(5))
    plain = copy.deepcopy(module)
    gate = torch.tensor([1.0, 0.9, 0.8, 0.95, 0.7])
    insert_gates(module, (group,))["made"].set(gate)
    fold_gates(module, make_optimizer(module, RECIPE), RECIPE)
    assert not list(statistics_gates(module))
    torch.testing.assert_close(module.head.weight, plain.head.weight * gate)
    assert type(module.norm) is nn.LayerNorm
    assert not module.norm._forward_pre_hooks
    assert module(x).shape == (6, 3, 3)


def test_a_full_copy_hears_of_channels_that_were_never_there_only_where_they_are_asked():
    module, group, x = network(nn.LayerNorm(5))
    gates = insert_gates(module, (group,))
    surgeon = Surgeon(module, (group,))
    surgeon.seed(torch.tensor([True, False, True, True, False]))
    gates["made"].set(torch.tensor([0.9, 0.8, 0.7]))
    full = surgeon.full_copy(gates)
    torch.testing.assert_close(full(x), module(x))
    full(x).square().sum().backward()
    (*_, (_, gradient)) = surgeon.consumer_gradients(full)
    assert bool(gradient.ne(0).any(dim=1).all())
