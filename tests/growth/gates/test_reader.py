"""Gates on the weights that read a group's channels."""

import copy

import pytest
import torch
from torch import nn

from growsearch.growth.gates.gate import Gate
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.gates.reader import ReaderGates, reader_gates
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates
from growsearch.training import Recipe, make_optimizer
from search_spaces import Unit, channel_groups
from search_spaces.trace_groups import declare_traced_groups

RECIPE = Recipe(epochs=2, batch_size=8)


class Sigmoids(nn.Module):
    """A norm behind which a Sigmoid lets something through, and two readers of one weight."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = nn.Linear(6, 5), nn.BatchNorm1d(5)
        self.one, self.other = nn.Linear(5, 4), nn.Linear(5, 4, bias=False)
        self.other.weight = self.one.weight
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = torch.sigmoid(self.norm(self.inner(x)))
        return self.head(torch.relu(self.one(x)) + self.other(x))


class FlattenedLast(nn.Module):
    """Its reader has four entries a channel, channels innermost."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Conv2d(1, 5, 3), nn.Linear(20, 3)

    def forward(self, x):
        x = torch.sigmoid(self.inner(x.view(-1, 1, 4, 4)))
        return self.head(x.permute(0, 2, 3, 1).flatten(1))


def gated(network, features):
    torch.manual_seed(0)
    module, x = network(), torch.randn(8, features)
    declare_traced_groups(module, (x,))
    plain = copy.deepcopy(module)
    return module, plain, insert_gates(module, channel_groups(module)), x


CASES = pytest.mark.parametrize(("network", "features"), [(Sigmoids, 6), (FlattenedLast, 16)])


@CASES
def test_open_gates_change_nothing(network, features):
    module, plain, _, x = gated(network, features)
    assert torch.equal(module(x), plain(x))


@CASES
def test_a_closed_gate_is_a_reader_with_zeros(network, features):
    module, plain, gates, x = gated(network, features)
    gates["inner"].set(torch.tensor([1.0, 1, 0, 1, 1]))
    with torch.no_grad():
        reader = plain.one.weight if network is Sigmoids else plain.head.weight
        reader[:, 2::5] = 0
    assert torch.equal(module.eval()(x), plain.eval()(x))


@CASES
def test_the_gates_gradient_is_that_of_the_readers_columns(network, features):
    module, plain, gates, x = gated(network, features)
    (module(x).square().sum()).backward()
    (plain(x).square().sum()).backward()
    reader = plain.one.weight if network is Sigmoids else plain.head.weight
    columns = (reader * reader.grad).sum(0).view(-1, 5).sum(0)
    torch.testing.assert_close(gates["inner"].value.grad, columns.detach())


@CASES
def test_folding_keeps_the_function_and_leaves_a_plain_network(network, features):
    module, plain, gates, x = gated(network, features)
    optimizer = make_optimizer(module, RECIPE)
    gates["inner"].set(torch.tensor([1.0, 0.5, 0.25, 0.9, 0.1]))
    module.eval()
    expected = module(x)
    fold_gates(module, optimizer, RECIPE)
    torch.testing.assert_close(module(x), expected)
    assert not list(reader_gates(module))
    assert not module._forward_pre_hooks
    assert not module._forward_hooks
    assert [type(layer) for layer in module.modules()] == [type(layer) for layer in plain.modules()]
    assert set(module.state_dict()) == set(plain.state_dict())


def test_weights_are_the_layers_own_before_and_after_a_run_even_one_that_fails():
    module, _, gates, x = gated(Sigmoids, 6)
    gates["inner"].set(torch.zeros(5))
    weight = module.one.weight
    module(x)
    assert module.one.weight is weight
    with pytest.raises(RuntimeError):
        module(x[:, :3])
    assert module.one.weight is weight
    assert isinstance(module.other.weight, nn.Parameter)


def test_copies_have_gates_of_their_own():
    module, _, gates, x = gated(Sigmoids, 6)
    twin, twins = copy.deepcopy((module, gates))
    twins["inner"].set(torch.zeros(5))
    assert not torch.equal(twin.eval()(x), module.eval()(x))
    gates["inner"].set(torch.zeros(5))
    assert torch.equal(twin(x), module(x))


class ScaledBranch(nn.Module):
    """A branch whose scale, which closes it, lies beside it."""

    def __init__(self):
        super().__init__()
        self.branch, self.gamma = nn.Linear(6, 6), nn.Parameter(torch.rand(6))

    def forward(self, x):
        return x + self.gamma * self.branch(x)


def test_a_scale_beside_a_unit_that_is_detached_is_multiplied_by_nothing():
    module, x = ScaledBranch(), torch.randn(2, 6)
    unit = Unit(
        name="unit",
        stage="",
        module="branch",
        norm="",
        residual=True,
        detachable=True,
        closing=("gamma",),
    )
    gate = Gate(torch.zeros(1))
    ReaderGates(module, (), {"unit": gate}, (unit,))
    assert torch.equal(module(x), x)
    gate.set(torch.zeros(0))
    assert torch.equal(module(x), x + module.gamma * module.branch(x))


class Flattened(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.inner, self.norm = nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5)
        self.head, self.order = nn.Linear(20, 3), order

    def forward(self, x):
        x = torch.relu(self.norm(self.inner(x.view(-1, 1, 4, 4))))
        return self.head(x.permute(0, *self.order).flatten(1))


def test_the_gradients_of_a_channels_readers_do_not_depend_on_the_order_of_flattening():
    x, found = torch.randn(8, 16), []
    for order in ((1, 2, 3), (2, 3, 1)):
        torch.manual_seed(0)
        module = Flattened(order)
        with torch.no_grad():  # the same function: column (channel, row, column) of the first
            columns = torch.arange(20).view(5, 2, 2).permute([axis - 1 for axis in order])
            module.head.weight.copy_(module.head.weight[:, columns.flatten()])
        declare_traced_groups(module, (x,))
        surgeon = Surgeon(module, channel_groups(module))
        full = surgeon.full_copy(insert_gates(module, channel_groups(module)))
        full(x).square().sum().backward()
        ((channels, gradients),) = surgeon.consumer_gradients(full)
        assert channels.tolist() == [0, 1, 2, 3, 4]
        found.append(gradients.square().sum(1))
    torch.testing.assert_close(*found)
