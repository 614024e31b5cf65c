"""Gates on recurrent units and embeddings, and surgery on their strided weights."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import cost_models
from growsearch.growth.budget.cost_terms import mac_terms, parameter_terms
from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.gate import Gate
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.gates.recurrent import GATED, GatedRecurrent, reader_factors
from growsearch.growth.surgery.optimizer_state import optimizer_state
from growsearch.growth.surgery.recalibration import has_statistics
from growsearch.growth.surgery.surgeon import (
    Surgeon,
    fold_gates,
    rebuild_optimizer,
)
from growsearch.training import Recipe, make_optimizer, mean_loss
from search_spaces import ChannelGroup, Member, channel_groups
from search_spaces.channel_groups import named_tensors
from search_spaces.families.recurrent import CELLS, RecurrentSpace

RECIPE = Recipe(epochs=2)
WORDS = 9
GATES = {"gru": 3, "lstm": 4, "rnn": 1}

every_cell = pytest.mark.parametrize("cell", CELLS)


def space(cell="lstm", hidden=(4, 3), **changes):
    return RecurrentSpace(
        name="tiny",
        description="for tests",
        cell=cell,
        embedding=5,
        hidden=hidden,
        grow_embedding=True,
        input_shape=(6,),
        num_classes=WORDS,
        **changes,
    )


class Patient:
    """A gated language model under surgery, with its optimizer and something to read."""

    def __init__(self, space, seed=0):
        torch.manual_seed(seed)
        self.space = space
        self.model = space.build(space.largest())
        groups = channel_groups(self.model)
        self.structures = Structures.of(groups)
        self.gates = insert_gates(self.model, groups)
        self.surgeon = Surgeon(self.model, groups)
        self.optimizer = make_optimizer(self.model, RECIPE)
        self.values = torch.rand(self.structures.total) + 0.1
        self.tokens = torch.randint(WORDS, (7, 6))
        self.targets = torch.randint(WORDS, (7, 6))

    def start(self, live):
        self.surgeon.seed(live)
        rebuild_optimizer(self.model, self.optimizer, RECIPE, {})
        self.open_gates()
        self.train()
        return self

    def open_gates(self):
        live = self.structures.split(self.surgeon.live)
        for name, values in self.structures.split(self.values).items():
            self.gates[name].set(values[live[name]])

    def change(self, live):
        fresh = self.surgeon.restructure(live, self.optimizer, RECIPE)
        self.open_gates()
        return fresh

    def loss(self):
        return mean_loss(self.model(self.tokens), self.targets)

    def train(self, steps=3):
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()

    @torch.no_grad()
    def logits(self):
        return self.model(self.tokens)

    def state(self):
        tensors = {k: v.detach().clone() for k, v in named_tensors(self.model).items()}
        memory = optimizer_state(self.model, self.optimizer)
        return tensors | {key: value.clone() for key, value in memory.items()}

    def draw(self, generator, share=0.5):
        live = torch.rand(self.structures.total, generator=generator) < share
        return live | self.structures.first_of_each()


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


SOME = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1]).bool()
MORE = torch.tensor([1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1]).bool()


@pytest.fixture(params=CELLS)
def patient(request):
    return Patient(space(request.param)).start(SOME)


def _cell_by_hand(cell, x, h, c, weights):
    """One step of one unit vector, as torch's documentation of the layers writes it."""
    w_ih, w_hh, b_ih, b_hh = weights
    given, heard = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if cell == "rnn":
        return torch.tanh(given + heard), c
    if cell == "gru":
        (r, z, n), (hr, hz, hn) = given.chunk(3, -1), heard.chunk(3, -1)
        z = torch.sigmoid(z + hz)
        return (1 - z) * torch.tanh(n + torch.sigmoid(r + hr) * hn), z
    i, f, g, o = (given + heard).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@every_cell
def test_a_gate_multiplies_a_unit_for_all_who_read_it(cell):
    torch.manual_seed(0)
    plain = CELLS[cell](3, 4, batch_first=True)
    gate = torch.tensor([1.0, 0.5, 0.25, 0.0])
    layer = GatedRecurrent(plain, Gate(gate))
    x = torch.randn(2, 5, 3)
    weights = list(plain.parameters())
    h, c = torch.zeros(2, 4), torch.zeros(2, 4)
    expected = []
    for step in range(5):
        new, extra = _cell_by_hand(cell, x[:, step], h * gate, c, weights)
        # A GRU also keeps its unit's own value, which no other unit hears of: before the gate.
        h = new + extra * h if cell == "gru" else new
        c = extra
        expected.append(h * gate)
    out, state = layer(x)
    torch.testing.assert_close(out, torch.stack(expected, dim=1))
    torch.testing.assert_close((state[0] if cell == "lstm" else state)[0], h)


@every_cell
def test_open_gates_change_nothing(cell):
    torch.manual_seed(0)
    plain = CELLS[cell](3, 4, batch_first=True)
    layer = GatedRecurrent(plain, Gate(torch.ones(4)))
    x = torch.randn(2, 5, 3)
    assert torch.equal(layer(x)[0], plain(x)[0])


@every_cell
def test_a_closed_gate_is_eq_9_with_a_zero(cell):
    """m = 0 cuts the unit's row and column out of all matrices; nothing else may differ."""
    torch.manual_seed(0)
    plain = CELLS[cell](3, 4, batch_first=True)
    mask = torch.tensor([1.0, 0.0, 1.0, 1.0])
    layer = GatedRecurrent(plain, Gate(mask))
    masked = copy.deepcopy(plain)
    with torch.no_grad():
        rows = mask.repeat(GATES[cell])
        masked.weight_ih_l0.mul_(rows.unsqueeze(1))
        masked.weight_hh_l0.mul_(rows.unsqueeze(1)).mul_(mask)
        masked.bias_ih_l0.mul_(rows)
        masked.bias_hh_l0.mul_(rows)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(layer(x)[0], masked(x)[0] * mask)


def test_the_gates_gradient_is_the_numerical_one():
    torch.manual_seed(0)
    layer = GatedRecurrent(nn.LSTM(3, 4, batch_first=True), Gate(torch.full((4,), 0.5))).double()
    x = torch.randn(2, 5, 3, dtype=torch.double)

    def loss(gate):
        layer.gate.value = gate
        return layer(x)[0].square().sum()

    gate = torch.tensor([0.9, 0.5, 0.25, 0.1], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(loss, gate)


def test_every_layer_and_the_embedding_get_the_gate_of_their_group(patient):
    model = Patient(patient.space).model
    assert len([layer for layer in model.modules() if isinstance(layer, GATED)]) == 3
    assert model.embedding.gate is not model.layers[0].gate
    assert [g.size for g in channel_groups(model)] == [5, 4, 3]


def test_a_residual_stream_has_no_single_producer_and_is_gated_where_it_is_read():
    module = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2))
    tokens, weight = torch.tensor([0, 2]), module[1].weight.detach().clone()
    stream = ChannelGroup(
        name="stream",
        size=2,
        members=(
            Member(tensor="0.weight", axis=1),
            Member(tensor="1.weight", axis=0),
            Member(tensor="1.weight", axis=1),
        ),
    )
    vectors = module[0](tokens).detach()
    insert_gates(module, (stream,))["stream"].set(torch.tensor([1.0, 0.0]))
    expected = vectors[:, :1] @ weight[:, :1].T + module[1].bias
    torch.testing.assert_close(module(tokens), expected)


def test_the_seed_network_has_only_the_live_units(patient):
    assert [g.size for g in channel_groups(patient.model)] == [3, 2, 2]
    first, second = patient.model.layers
    assert (first.input_size, first.hidden_size) == (3, 2)
    assert (second.input_size, second.hidden_size) == (2, 2)
    gates = GATES[patient.space.cell]
    assert first.weight_ih_l0.shape == (2 * gates, 3)
    assert first.weight_hh_l0.shape == (2 * gates, 2)
    assert patient.model.embedding.weight.shape == (WORDS, 3)


def masked_full(patient):
    """The full configuration with the same weights, units that do not run gated to zero."""
    full = Patient(patient.space)
    full.tokens, full.targets = patient.tokens, patient.targets
    state = {**named_tensors(patient.model), **patient.surgeon.full_values()}
    with torch.no_grad():
        for name, tensor in named_tensors(full.model).items():
            tensor.copy_(state[name])
    for name, live in patient.structures.split(patient.surgeon.live).items():
        values = patient.structures.split(patient.values)[name]
        full.gates[name].set(torch.where(live, values, torch.zeros(())))
    return full


def test_the_compact_network_equals_the_masked_full_one_forward_and_backward(patient):
    patient.change(MORE)
    patient.train()
    patient.open_gates()
    full = masked_full(patient)
    for one in (patient, full):
        one.model.zero_grad()
        one.loss().backward()
    torch.testing.assert_close(patient.logits(), full.logits(), rtol=1e-5, atol=1e-6)
    indices = patient.surgeon._indices()
    of_full = dict(full.model.named_parameters())
    for name, parameter in patient.model.named_parameters():
        gradient = of_full[name].grad
        gradient = gradient[indices[name]] if name in indices else gradient
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)
    for name, live in patient.structures.split(patient.surgeon.live).items():
        found, expected = patient.gates[name].value.grad, full.gates[name].value.grad[live]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6, msg=name)


def test_creating_units_keeps_the_function_and_they_learn_at_once(patient):
    before = patient.logits()
    fresh = patient.change(MORE)
    assert int(fresh.sum()) == 3
    torch.testing.assert_close(patient.logits(), before, rtol=1e-6, atol=1e-6)
    # Unit 0 of the last layer is new, and stands first.
    assert (patient.model.decoder.weight[:, 0] == 0).all()
    patient.train(1)
    assert (patient.model.decoder.weight[:, 0] != 0).all()


def test_old_units_do_not_hear_of_created_ones_and_those_hear_of_all(patient):
    patient.change(MORE)
    gates = GATES[patient.space.cell]
    initial = Patient(patient.space).model.layers[0].weight_hh_l0.view(gates, 4, 4)
    # Units 0 and 3 are old, 1 is created; 2 does not run.
    weight = patient.model.layers[0].weight_hh_l0.view(gates, 3, 3)
    assert (weight[:, [0, 2], 1] == 0).all()
    assert torch.equal(weight[:, 1], initial[:, 1][:, [0, 1, 3]])


def test_detaching_then_attaching_again_is_the_identity(patient):
    patient.change(MORE)
    patient.train()
    before, logits = patient.state(), patient.logits()
    patient.change(SOME)
    assert not torch.allclose(patient.logits(), logits)
    patient.change(MORE)
    assert_same(patient.state(), before)
    assert torch.equal(patient.logits(), logits)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), cell=st.sampled_from(sorted(CELLS)))
def test_any_chain_of_changes_keeps_every_weight_and_momentum_in_its_place(seed, cell):
    generator = torch.Generator().manual_seed(seed)
    patient = Patient(space(cell, hidden=(3, 5)), seed)
    first = patient.draw(generator)
    patient.start(first)
    before = patient.state()
    for _ in range(3):
        patient.change(patient.draw(generator))
    patient.change(first)
    assert_same(patient.state(), before)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), cell=st.sampled_from(sorted(CELLS)))
def test_any_creation_keeps_the_function(seed, cell):
    generator = torch.Generator().manual_seed(seed)
    patient = Patient(space(cell, hidden=(3, 5)), seed)
    patient.start(patient.draw(generator))
    before = patient.logits()
    patient.change(patient.surgeon.live | patient.draw(generator))
    torch.testing.assert_close(patient.logits(), before, rtol=1e-5, atol=1e-6)


def test_the_optimizer_holds_exactly_the_networks_parameters(patient):
    patient.change(MORE)
    held = [id(p) for group in patient.optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in patient.model.parameters())
    for layer in patient.model.layers:
        assert all(
            flat is layer.get_parameter(name)
            for flat, name in zip(layer._flat_weights, layer._flat_weights_names, strict=True)
        )


def test_folding_gates_keeps_the_function_and_the_state_and_leaves_the_plain_network(patient):
    patient.change(MORE)
    patient.train()
    with torch.no_grad():
        before, state = patient.model.step(patient.tokens, None)
        further, _ = patient.model.step(patient.tokens, state)
    fold_gates(patient.model, patient.optimizer, RECIPE)
    torch.testing.assert_close(patient.logits(), before, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(
            patient.model.step(patient.tokens, state)[0], further, rtol=1e-5, atol=1e-6
        )
    widths = {g.name: g.size for g in channel_groups(patient.model)}
    largest = patient.space.largest()
    plain = patient.space.build(patient.space.with_widths(largest, widths))
    assert repr(plain) == repr(patient.model)
    assert [type(m) for m in plain.modules()] == [type(m) for m in patient.model.modules()]
    plain.load_state_dict(patient.model.state_dict())
    with torch.no_grad():
        assert torch.equal(plain(patient.tokens), patient.logits())


def test_folding_multiplies_the_columns_of_all_readers_and_their_momentum(patient):
    before = patient.state()
    gates = {name: gate.value.detach() for name, gate in patient.gates.items()}
    fold_gates(patient.model, patient.optimizer, RECIPE)
    after = patient.state()
    factors = {
        "layers.0.weight_ih_l0": gates["embedding"],
        "layers.0.weight_hh_l0": gates["hidden0"],
        "layers.1.weight_ih_l0": gates["hidden0"],
        "layers.1.weight_hh_l0": gates["hidden1"],
        "decoder.weight": gates["hidden1"],
    }
    assert after.keys() == before.keys()
    for name, value in after.items():
        factor = factors.get(name.removesuffix("/momentum_buffer"), torch.ones(()))
        assert torch.equal(value, before[name] * factor), name
    assert reader_factors(patient.model) == {}
    patient.train(1)


def test_there_is_nothing_to_recalibrate(patient):
    assert not has_statistics(patient.model)


@every_cell
@pytest.mark.parametrize("insert", [False, True])
def test_macs_are_counted_by_hand_once_a_token(cell, insert):
    model = space(cell).build(space(cell).largest())
    groups = channel_groups(model)
    if insert:
        insert_gates(model, groups)
    terms = mac_terms(model, groups, space(cell).example_inputs())
    gates, tokens = GATES[cell], 6

    def macs(embedding, first, second):
        layers = first * (embedding + first) + second * (first + second)
        return tokens * (gates * layers + second * WORDS)

    assert terms.exact([5, 4, 3]) == macs(5, 4, 3)
    assert terms.exact([2, 1, 3]) == macs(2, 1, 3)
    if not insert:
        assert cost_models.trace(model, space(cell).example_inputs()).dense_macs == macs(5, 4, 3)


@settings(max_examples=12, deadline=None)
@given(
    widths=st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)),
    cell=st.sampled_from(sorted(CELLS)),
)
def test_costs_by_widths_equal_those_counted_in_the_built_network(widths, cell):
    full = space(cell).build(space(cell).largest())
    groups = channel_groups(full)
    named = dict(zip(("embedding", "hidden0", "hidden1"), widths, strict=True))
    model = space(cell).build(space(cell).with_widths(space(cell).largest(), named))
    built = mac_terms(model, channel_groups(model), space(cell).example_inputs())
    terms = mac_terms(full, groups, space(cell).example_inputs())
    assert terms.exact(widths) == built.exact(widths)
    counted = sum(p.numel() for p in model.parameters())
    assert parameter_terms(full, groups).exact(widths) == counted
