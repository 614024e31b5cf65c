"""Axes that hold channels of several groups: removal, gates, widths and costs, by function."""

import copy
import functools

import pytest
import torch
from axis_networks import NETWORKS, SIZE
from torch.nn import functional as F

import cost_models
from growsearch.growth.budget.cost_terms import parameter_terms
from growsearch.growth.budget.traced_macs import traced_mac_terms
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.policies.birth import birth_scores
from growsearch.growth.surgery.optimizer_state import rebuild_optimizer
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates
from growsearch.training import Recipe, make_optimizer
from growsearch.transforms import apply
from search_spaces import channel_groups, resize
from search_spaces.channel_groups import is_consumed, named_tensors
from search_spaces.fresh_weights import initialise_network
from search_spaces.trace_groups import declare_groups, trace_groups


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


RECIPE = Recipe(epochs=2)
GROWING = ("DenseNet", "U-Net", "CSP", "image", "shuffled", "ResNeXt", "GroupNorm")


def train(network, optimizer, x, steps=2):
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(x), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()


@pytest.mark.parametrize("name", GROWING)
def test_what_grows_keeps_the_function_and_what_has_been_comes_back(name):
    network, x, _ = traced(name)
    network, x = network.float(), x.float()
    groups = channel_groups(network)
    gates, surgeon = insert_gates(network, groups), Surgeon(network, groups)
    optimizer = make_optimizer(network, RECIPE)
    structures = surgeon.structures
    small = structures.first(max(1, group.size // 2) for group in groups)
    surgeon.seed(small)
    rebuild_optimizer(network, optimizer, RECIPE, {})

    def change(live):
        surgeon.restructure(live, optimizer, RECIPE)
        for group, width in structures.widths(live).items():
            gates[group].set(torch.full((width,), 0.5))

    change(small)
    train(network, optimizer, x)
    scores = birth_scores(surgeon, gates, x, torch.tensor([0, 1, 2, 0]))
    assert bool((scores[~small] > 0).any())
    with torch.no_grad():
        before = network.eval()(x)
        change(torch.ones_like(small))
        torch.testing.assert_close(network.eval()(x), before, rtol=1e-4, atol=2e-6)
    train(network, optimizer, x)
    with torch.no_grad():
        full = network.eval()(x)
        change(small)
        change(torch.ones_like(small))
        torch.testing.assert_close(network.eval()(x), full, rtol=1e-4, atol=2e-6)
        fold_gates(network, optimizer, RECIPE)
        torch.testing.assert_close(network(x), full, rtol=1e-4, atol=2e-6)
    assert {g.name: g.size for g in channel_groups(network)} == {g.name: g.size for g in groups}


@pytest.mark.parametrize("name", ["DenseNet", "CSP", "image", "ResNeXt", "GroupNorm"])
def test_sparse_wide_widens_every_group_and_keeps_the_macs(name):
    network, x, _ = traced(name)
    network, x = network.float(), x.float()[:1]
    dense = cost_models.trace(network, (x,)).dense_macs
    sizes = {group.name: group.size for group in channel_groups(network)}
    wide = apply(network, "sparse_wide", sparsity=0.75, example_inputs=(x,))
    assert {g.name: g.size for g in channel_groups(wide)} == {n: 2 * s for n, s in sizes.items()}
    assert cost_models.trace(wide, (x,)).effective_macs == pytest.approx(dense, rel=0.02)
