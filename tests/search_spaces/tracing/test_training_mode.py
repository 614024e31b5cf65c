"""Networks that compute something else where they train: groups and units hold in both modes."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import resize
from search_spaces.trace_groups import declare_groups, prove_groups, trace_groups
from search_spaces.trace_units import trace_units
from search_spaces.tracing.network_probe import steady, training_twin

X = torch.zeros(2, 1, 6, 6)


class ConvNorm(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Net(nn.Module):
    """Three layers in a row; what stands between the first and the last is told by ``body``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = ConvNorm(1, 8), ConvNorm(8, 8), ConvNorm(8, 12)
        self.head = nn.Linear(12, 3)

    def body(self, x):
        return self.b(x)

    def forward(self, x):
        return self.head(self.c(self.body(self.a(x))).mean((2, 3)))


class EvaluationOnly(Net):
    def body(self, x):
        return x if self.training else self.b(x)


class TrainingOnly(Net):
    def body(self, x):
        return self.b(x) if self.training else x


class SumInTraining(Net):
    def body(self, x):
        return x + self.b(x) if self.training else self.b(x)


class Auxiliary(Net):
    """A second classifier that reads the first layer, where the network trains."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(8, 3)

    def forward(self, x):
        a = self.a(x)
        y = self.head(self.c(self.b(a)).mean((2, 3)))
        return (y, self.auxiliary(a.mean((2, 3)))) if self.training else y


class FixedInTraining(Net):
    def body(self, x):
        return self.b(x) * (torch.linspace(1, 2, 8).view(8, 1, 1).to(x) if self.training else 1)


@pytest.mark.parametrize(
    ("make", "fixed"),
    [
        (EvaluationOnly, {"a.0", "b.0"}),
        (TrainingOnly, {"a.0"}),
        (SumInTraining, {"a.0", "b.0"}),
        (Auxiliary, {"a.0"}),
        (FixedInTraining, {"b.0"}),
    ],
)
def test_what_one_mode_alone_connects_keeps_its_width_and_the_rest_runs_at_any(make, fixed):
    network = make()
    found = trace_groups(network, (X,))
    told = {name: found.reasons[name] for name in fixed}
    assert all("where the network trains" in reason for reason in told.values())
    assert set(found.fixed) - {"head", "auxiliary"} == fixed
    assert "c.0" in {group.name for group in found.groups}
    declare_groups(network, found.groups)
    resize(network, {group.name: group.size // 2 + 1 for group in found.groups})
    assert network.eval()(X).shape == (2, 3)
    out = network.train()(X)
    assert (out[0] if isinstance(out, tuple) else out).shape == (2, 3)


class MixedInTraining(Net):
    def body(self, x):
        x = self.b(x)
        return x.softmax(1) if self.training else x


def test_channels_that_are_mixed_in_training_only_are_not_taken_away():
    groups = {group.name: group for group in trace_groups(MixedInTraining(), (X,)).groups}
    assert "where the network trains" in groups["b.0"].kept
    assert not groups["a.0"].kept
    assert not groups["c.0"].kept


class OrderInTraining(nn.Module):
    """Flattened by pixels in one mode and by channels in the other: as many entries."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = ConvNorm(1, 4), ConvNorm(4, 5), nn.Linear(5 * 36, 3)

    def forward(self, x):
        x = self.b(self.a(x))
        return self.head((x if self.training else x.permute(0, 2, 3, 1)).flatten(1))


def test_an_order_that_holds_in_one_mode_alone_is_not_trusted():
    groups = {group.name: group for group in trace_groups(OrderInTraining(), (X,)).groups}
    assert "where the network trains" in groups["b.0"].kept
    assert not groups["a.0"].kept


class NormInEvaluation(Net):
    """Without its norm where it trains: a gate behind that would close nothing there."""

    def body(self, x):
        return torch.relu(self.b[0](x)) if self.training else self.b(x)


def test_a_norm_that_training_goes_past_is_no_place_for_a_gate():
    groups = {group.name: group for group in trace_groups(NormInEvaluation(), (X,)).groups}
    assert {name: group.gate for name, group in groups.items()} == {
        "a.0": "norms",
        "b.0": "readers",
        "c.0": "norms",
    }


class Regularised(Net):
    """Random in every usual way where it trains, which binds no channels."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def body(self, x):
        if not self.training:
            return x + self.b(x)
        kinds = {
            "dropout": lambda y: F.dropout(y, 0.4),
            "dropout2d": lambda y: F.dropout2d(y, 0.4),
            "alpha": lambda y: F.alpha_dropout(y, 0.2, training=True),
            "noise": lambda y: y + 0.1 * torch.randn_like(y),
            "scaled": lambda y: y * torch.empty_like(y).uniform_(0.5, 1.5),
            "path": lambda y: y * y.new_empty(len(y), 1, 1, 1).bernoulli_(0.7).div_(0.7),
            "floor": lambda y: y / 0.8 * torch.floor(0.8 + torch.rand(len(y), 1, 1, 1)),
            "layer": lambda y: y if torch.rand(()) < 0.3 else 0.0,
            "python": lambda y: y if random.random() < 0.5 else 0.0,
        }
        return x + kinds[self.kind](self.b(x))


KINDS = ("dropout", "dropout2d", "alpha", "noise", "scaled", "path", "floor", "layer", "python")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_random_where_it_trains_binds_no_channels(kind):
    found = trace_groups(Regularised(kind), (X,))
    # One stream of 8, tied by the sum, and the last layer.
    assert {group.name: (group.size, group.kept) for group in found.groups} == {
        "a.0": (8, ""),
        "c.0": (12, ""),
    }
    units = trace_units(Regularised(kind), found.groups, (X,))
    assert {unit.name for unit in units} == {"unit:b"}


class BranchInEvaluation(Net):
    """A residual branch where it is evaluated, and in the way where it trains."""

    def __init__(self, *, branch_in_training: bool) -> None:
        super().__init__()
        self.branch_in_training = branch_in_training
        self.b = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))

    def body(self, x):
        if self.training and not self.branch_in_training:
            return self.b(x)
        return x + self.b(x)


def test_a_branch_is_a_unit_only_where_it_is_one_in_both_modes():
    names = []
    for both in (True, False):
        network = BranchInEvaluation(branch_in_training=both)
        groups = trace_groups(network, (X,)).groups
        names.append([unit.name for unit in trace_units(network, groups, (X,))])
    assert names[0]
    assert names[1] == []


class Declared(EvaluationOnly):
    def channel_groups(self):
        return self.told


def test_groups_that_are_declared_are_tried_in_both_modes_as_well():
    network = Declared()
    network.told = trace_groups(Net(), (X,)).groups
    found = prove_groups(network, (X,))
    assert {group.name for group in found.groups} == {"c.0"}
    assert {name: "where the network trains" in why for name, why in found.reasons.items()} == {
        "a.0": True,
        "b.0": True,
    }


class Counting(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def body(self, x):
        if self.training:
            self.seen += 1
        return self.b(x) + 0.1 * self.seen


def test_what_training_writes_is_taken_back_and_no_seed_moves():
    network = Counting().train()
    torch.manual_seed(3)
    random.seed(3)
    expected = torch.rand(2), random.random()
    torch.manual_seed(3)
    random.seed(3)
    with steady(network):
        network(X)
    assert network.seen.item() == 0
    assert network.a[1].num_batches_tracked.item() == 0
    assert random.random() == expected[1]
    assert torch.equal(torch.rand(2), expected[0])
    assert training_twin(Net().eval(), (X,)) is None
    assert training_twin(Counting().eval(), (X,)) is not None


class Rolled(nn.Module):
    """Draws a whole number behind a mask whose length follows from a width, or NumPy's chance."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.a, self.b = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
        self.norm, self.c = nn.BatchNorm2d(8), nn.Linear(6, 4)

    def forward(self, x):
        x = self.norm(self.a(x)).relu()
        if self.training and self.kind == "whole":
            x = nn.functional.dropout(x, 0.5)
            x = x.roll(int(torch.randint(0, 3, ())), dims=2)
        elif self.training:
            x = x * (1.0 if np.random.rand() < 0.5 else 0.9)
        return self.c(self.b(x).mean((2, 3)))


@pytest.mark.parametrize("kind", ["whole", "numpy"])
def test_other_draws_are_the_same_at_every_width_and_leave_no_trace(kind):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    found = trace_groups(Rolled(kind), (X,))
    assert {group.name: group.kept for group in found.groups} == {"a": "", "b": ""}
    assert (np.random.get_state()[1] == before).all()
