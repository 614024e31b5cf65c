"""Filters behind a BatchNorm after surgery: their size, and all that goes with it."""

import functools
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.surgery import row_norms
from growsearch.growth.surgery.identity_init import become_identities
from growsearch.growth.surgery.optimizer_state import optimizer_state, rebuild_optimizer
from growsearch.growth.surgery.scale_free import scale_free_rows, scale_free_rows_of
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.training import SGD, Adam, AdamW, Lion, Recipe, make_optimizer
from search_spaces import ChannelGroup, Member, channel_groups, units
from search_spaces.channel_groups import named_tensors
from search_spaces.families.mlp import MLPSpace
from search_spaces.families.recurrent import RecurrentSpace

# No weight decay: the gradient of a filter is then all that an optimizer hears of it.
PLAIN = Recipe(epochs=2, learning_rate=0.05, weight_decay=0.0)


class Two(nn.Module):
    """Two filters of three inputs, a norm, and what reads them."""

    def __init__(self, bias=False):
        super().__init__()
        self.make = nn.Linear(2, 3, bias=False)
        self.norm0 = nn.BatchNorm1d(3)
        self.filter = nn.Linear(3, 2, bias=bias)
        self.norm = nn.BatchNorm1d(2)
        self.read = nn.Linear(2, 2)

    def forward(self, x):
        x = torch.relu(self.norm0(self.make(x)))
        return self.read(torch.relu(self.norm(self.filter(x))))

    def channel_groups(self):
        into = [Member(tensor="make.weight", axis=0), Member(tensor="filter.weight", axis=1)]
        into += [Member(tensor=f"norm0.{each}", axis=0) for each in _NORM]
        out = [Member(tensor="filter.weight", axis=0), Member(tensor="read.weight", axis=1)]
        out += [Member(tensor=f"norm.{each}", axis=0) for each in _NORM]
        if self.filter.bias is not None:
            out.append(Member(tensor="filter.bias", axis=0))
        return (
            ChannelGroup(name="into", size=len(self.make.weight), members=tuple(into)),
            ChannelGroup(name="out", size=len(self.filter.weight), members=tuple(out)),
        )


_NORM = ("weight", "bias", "running_mean", "running_var")
_FIRST = torch.tensor([[3.0, 4.0, 12.0], [8.0, 6.0, 0.0]])


class Patient:
    """A network under surgery, and an optimizer that has something to remember."""

    def __init__(self, model, inputs, norms, *, rows, recipe=PLAIN, live=None, grows=()):
        self.model, self.inputs, self.recipe = model, inputs, recipe
        groups = channel_groups(model)
        self.gates = insert_gates(model, groups, grows)
        self.surgeon = Surgeon(model, groups, grows, rows=rows, norms=norms)
        self.structures = Structures.of(groups, grows)
        live = self.structures.first_of_each() if live is None else live
        self.surgeon.seed(self.mask(live))
        self._open()
        self.optimizer = make_optimizer(model, recipe)
        rebuild_optimizer(model, self.optimizer, recipe, {})

    def mask(self, live):
        """Return a flat mask of the channels listed for every group."""
        if isinstance(live, torch.Tensor):
            return live
        flat = torch.zeros(self.structures.total, dtype=torch.bool)
        for name, part in self.structures.split(flat).items():
            part[list(live[name])] = True
        return flat

    def change(self, live):
        fresh = self.surgeon.restructure(self.mask(live), self.optimizer, self.recipe)
        self._open()
        return fresh

    def _open(self):
        counts = self.structures.counts(self.surgeon.live)
        for name, count in zip(self.structures.names, counts, strict=True):
            self.gates[name].set(torch.ones(count))

    def train(self, steps=3):
        self.model.train()
        for _ in range(steps):
            self.optimizer.zero_grad()
            out = self.model(self.inputs)
            F.cross_entropy(out, torch.arange(len(out)) % out.shape[1]).backward()
            self.optimizer.step()

    @torch.no_grad()
    def outputs(self):
        return self.model.eval()(self.inputs)


@functools.cache
def rows_of_two(bias):
    return scale_free_rows(Two(bias), (torch.zeros(8, 2),))


def two(norms, live, *, bias=False, **settings):
    torch.manual_seed(0)
    model = Two(bias)
    with torch.no_grad():
        model.filter.weight.copy_(_FIRST)
    rows = rows_of_two(bias)
    return Patient(model, torch.randn(64, 2), norms, rows=rows, live=live, **settings)


def largest(space, inputs, norms, **settings):
    torch.manual_seed(0)
    model, rows = space.build(space.largest()), scale_free_rows_of(space)
    return Patient(model, inputs, norms, rows=rows, **settings)


def test_a_row_goes_back_to_the_norm_of_its_first_draw_at_full_width():
    patient = two("reset", {"into": [0, 1], "out": [0, 1]})
    weight = patient.model.filter.weight.detach()
    # Drawn as (3, 4, 12), of norm 13, the first runs on two inputs: (3, 4), of norm 5.
    expected = torch.tensor([[3.0, 4.0], [8.0, 6.0]]) * torch.tensor([[13 / 5], [1.0]])
    torch.testing.assert_close(weight, expected)
    patient.train()
    patient.change({"into": [0, 1, 2], "out": [0, 1]})
    norms = patient.model.filter.weight.detach().norm(dim=1)
    torch.testing.assert_close(norms, torch.tensor([13.0, 10.0]))
    assert (patient.model.filter.weight[:, 2] == 0).all()


def test_kept_rows_stay_as_they_are():
    patient = two("kept", {"into": [0, 1], "out": [0, 1]})
    assert torch.equal(patient.model.filter.weight.detach(), _FIRST[:, :2])


def test_all_that_belongs_to_a_row_is_scaled_with_it():
    patient = two("reset", {"into": [0, 1, 2], "out": [0, 1]}, bias=True)
    patient.train()
    with torch.no_grad():
        # Of norm 26, so that the factor is 1/2; the other row is as large as it was drawn.
        patient.model.filter.weight[0] = torch.tensor([10.0, 24.0, 0.0])
        patient.model.filter.weight[1] = torch.tensor([0.0, 0.0, 10.0])
        patient.model.filter.bias.copy_(torch.tensor([3.0, 5.0]))
        patient.model.norm.running_mean.copy_(torch.tensor([7.0, 9.0]))
        patient.model.norm.running_var.copy_(torch.tensor([4.0, 6.0]))
    before = {k: v.clone() for k, v in optimizer_state(patient.model, patient.optimizer).items()}
    patient.change({"into": [0, 1, 2], "out": [0, 1]})
    model = patient.model
    torch.testing.assert_close(model.filter.weight[0], torch.tensor([5.0, 12.0, 0.0]))
    torch.testing.assert_close(model.filter.bias, torch.tensor([1.5, 5.0]))
    torch.testing.assert_close(model.norm.running_mean, torch.tensor([3.5, 9.0]))
    # (4 + eps) / 4 - eps: what the norm divides by is halved to the last digit.
    expected = torch.tensor([(4 + 1e-5) / 4 - 1e-5, 6.0])
    torch.testing.assert_close(model.norm.running_var, expected, rtol=0, atol=1e-7)
    after = optimizer_state(model, patient.optimizer)
    for name in ("filter.weight", "filter.bias"):
        key = f"{name}/momentum_buffer"
        assert before[key].abs().sum() > 0
        torch.testing.assert_close(after[key][0], 2 * before[key][0])
        assert torch.equal(after[key][1], before[key][1])
    for name in ("read.weight", "norm.weight", "norm.bias"):
        assert torch.equal(after[f"{name}/momentum_buffer"], before[f"{name}/momentum_buffer"])


@pytest.mark.parametrize(("factor", "clamped"), [(1000.0, 0.05), (1e-4, 20.0), (10.0, 0.1)])
def test_a_row_is_scaled_by_no_more_than_twenty(factor, clamped):
    patient = two("reset", {"into": [0, 1, 2], "out": [0, 1]})
    with torch.no_grad():
        patient.model.filter.weight.mul_(factor)
    before = patient.model.filter.weight.detach().clone()
    patient.change({"into": [0, 1, 2], "out": [0, 1]})
    torch.testing.assert_close(patient.model.filter.weight.detach(), clamped * before)


def test_transferred_rows_shrink_with_the_root_of_their_inputs():
    patient = two("transfer", {"into": [0], "out": [0, 1]})
    # Drawn for three inputs, they have one.
    expected = _FIRST[:, :1] * 3**0.5
    torch.testing.assert_close(patient.model.filter.weight.detach(), expected)
    patient.change({"into": [0, 1], "out": [0, 1]})
    old = patient.model.filter.weight.detach()
    torch.testing.assert_close(old, torch.cat([_FIRST[:, :1] * 1.5**0.5, torch.zeros(2, 1)], 1))
    patient.change({"into": [1], "out": [0, 1]})
    patient.change({"into": [0, 1, 2], "out": [0, 1]})
    torch.testing.assert_close(patient.model.filter.weight[:, 0].detach(), _FIRST[:, 0])


@pytest.mark.parametrize(
    "optimizer", [SGD(), Adam(), AdamW(), Lion()], ids=lambda rule: type(rule).__name__
)
def test_what_an_optimizer_remembers_is_that_of_a_network_that_was_always_so_large(optimizer):
    """A gradient goes with 1 / |w|: first moments do too, and second ones with its square."""
    recipe = Recipe(epochs=2, learning_rate=1e-9, weight_decay=0.0, optimizer=optimizer)
    live = {"into": [0, 1, 2], "out": [0, 1]}
    found = []
    for scale in (1.0, 4.0):
        patient = two("reset", live, recipe=recipe)
        with torch.no_grad():
            patient.model.filter.weight.mul_(scale)
        patient.train()
        patient.change(live)
        found.append(optimizer_state(patient.model, patient.optimizer))
    assert any("exp_avg_sq" in key for key in found[0]) == isinstance(optimizer, (Adam, AdamW))
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, rtol=1e-3, atol=1e-8, msg=key)


def test_without_the_momentum_a_step_would_be_four_times_too_long(monkeypatch):
    monkeypatch.setattr(row_norms, "is_first_moment", lambda key: False)
    with pytest.raises(AssertionError):
        test_what_an_optimizer_remembers_is_that_of_a_network_that_was_always_so_large(SGD())


@pytest.mark.parametrize("norms", row_norms.NORMS)
def test_a_row_whose_old_inputs_are_all_gone_gets_its_first_draw(norms):
    patient = two(norms, {"into": [0], "out": [0, 1]})
    patient.train()
    patient.change({"into": [1, 2], "out": [0, 1]})
    weight = patient.model.filter.weight.detach()
    first = _FIRST[:, 1:]
    sizes = _FIRST.norm(dim=1, keepdim=True) / first.norm(dim=1, keepdim=True)
    factor = {"kept": 1.0, "transfer": 1.5**0.5, "reset": sizes}
    torch.testing.assert_close(weight, first * factor[norms])
    memory = optimizer_state(patient.model, patient.optimizer)["filter.weight/momentum_buffer"]
    assert (memory == 0).all()
    patient.train(1)
    assert (patient.model.norm.running_var > 0.01).all()


def test_a_row_that_is_masked_or_was_drawn_as_zero_stays_so():
    model = Two()
    with torch.no_grad():
        model.filter.weight[1] = 0
    live = {"into": [0, 1, 2], "out": [0, 1]}
    patient = Patient(model, torch.randn(16, 2), "reset", rows=rows_of_two(False), live=live)
    assert (patient.model.filter.weight[1] == 0).all()
    assert patient.model.filter.weight.isfinite().all()


MLP = MLPSpace(name="m", description="m", hidden=(6, 5), input_shape=(1, 2, 2), num_classes=3)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), norms=st.sampled_from(["reset", "transfer"]))
def test_the_function_in_evaluation_is_the_one_of_kept_rows(seed, norms):
    generator = torch.Generator().manual_seed(seed)
    structures = Structures.of(channel_groups(MLP.build(MLP.largest())))
    masks = [
        (torch.rand(structures.total, generator=generator) < 0.6) | structures.first_of_each()
        for _ in range(4)
    ]
    inputs, known, found = torch.randn(12, 1, 2, 2, generator=generator), None, []
    for each in ("kept", norms):
        patient = largest(MLP, inputs, each, live=masks[0])
        # Weights and statistics as training leaves them, the same for both but for their rows.
        patient.train(1)
        known = known or {k: v.clone() for k, v in patient.model.state_dict().items()}
        patient.model.load_state_dict(known)
        for mask in masks[1:]:
            patient.change(mask)
        found.append(patient.outputs())
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norms", ["reset", "transfer"])
def test_detached_inputs_come_back_in_the_proportions_in_which_they_went(norms):
    patient = two(norms, {"into": [0, 1, 2], "out": [0, 1]})
    patient.train()
    patient.change({"into": [0, 1, 2], "out": [0, 1]})
    before, outputs = patient.model.filter.weight.detach().clone(), patient.outputs()
    patient.change({"into": [0], "out": [0, 1]})
    patient.change({"into": [0, 1, 2], "out": [0, 1]})
    torch.testing.assert_close(patient.model.filter.weight.detach(), before)
    torch.testing.assert_close(patient.outputs(), outputs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norms", ["reset", "transfer"])
def test_new_plain_units_are_identities_whatever_becomes_of_rows(plain_space, norms):
    model = plain_space.build(plain_space.largest())
    grows = tuple(unit for unit in units(model) if unit.detachable)
    inputs = torch.rand(24, 1, 6, 6)
    structures = Structures.of(channel_groups(model), grows)
    live = structures.running(~structures.are_units())
    patient = largest(plain_space, inputs, norms, live=live, grows=grows)
    patient.train(2)
    before = patient.model.train()(inputs).detach()
    fresh = patient.change(torch.ones(structures.total, dtype=torch.bool))
    new = patient.surgeon.plain_units(fresh)
    assert len(new) == len(grows) > 0
    become_identities(patient.model, new, inputs)
    torch.testing.assert_close(patient.model.train()(inputs), before, rtol=1e-4, atol=1e-4)


def test_what_a_surgeon_of_transferred_rows_knows_is_in_its_state(space):
    images = torch.randn(12, 1, 6, 6)
    first, second = (largest(space, images, "transfer") for _ in range(2))
    every = torch.ones(first.structures.total, dtype=torch.bool)
    some = first.structures.first([2, 2, 3, 3])
    first.change(some)
    second.surgeon.load_state(
        {key: value.clone() for key, value in first.surgeon.state(values=True).items()}
    )
    second._open()
    rebuild_optimizer(second.model, second.optimizer, second.recipe, {})
    for one in (first, second):
        one.change(every)
    for name, value in named_tensors(first.model).items():
        assert torch.equal(value, named_tensors(second.model)[name]), name


def test_recurrent_networks_have_nothing_to_scale():
    space = RecurrentSpace(name="l", description="l", hidden=(4, 3), embedding=4, num_classes=5,
                           input_shape=(6,))  # fmt: skip
    found = []
    for norms in row_norms.NORMS:
        patient = largest(space, torch.randint(5, (2, 6)), norms)
        patient.change(torch.ones(patient.structures.total, dtype=torch.bool))
        found.append(named_tensors(patient.model))
    for one, other in itertools.pairwise(found):
        assert all(torch.equal(one[name], other[name]) for name in one)
