"""Units come, go and come back: what must stay the same, in weights, statistics and momentum."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.layers import architecture_of
from growsearch.growth.surgery.identity_init import become_identities
from growsearch.growth.surgery.optimizer_state import optimizer_state, parameter_of
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates, rebuild_optimizer
from growsearch.training import Recipe, make_optimizer
from search_spaces import channel_groups, units
from search_spaces.channel_groups import named_tensors
from search_spaces.families.mobilenet_v1 import MobileNetV1Space
from search_spaces.families.residual_units import BasicResNetSpace
from search_spaces.families.wide_resnet import WideResNetSpace
from search_spaces.units import Detached

RECIPE = Recipe(epochs=2)


class Patient:
    """A gated network of units under surgery, with its optimizer and something to train on."""

    def __init__(self, space, seed=0):
        torch.manual_seed(seed)
        self.space = space
        self.model = space.build(space.largest())
        groups = channel_groups(self.model)
        self.units = tuple(unit for unit in units(self.model) if unit.detachable)
        self.structures = Structures.of(groups, self.units)
        self.gates = insert_gates(self.model, groups, self.units)
        self.surgeon = Surgeon(self.model, groups, self.units)
        self.optimizer = make_optimizer(self.model, RECIPE)
        self.values = torch.rand(self.structures.total) + 0.1
        self.inputs = torch.randn(12, *space.input_shape)
        self.labels = torch.arange(12) % space.num_classes

    def seed(self, live):
        self.surgeon.seed(live)
        rebuild_optimizer(self.model, self.optimizer, RECIPE, {})
        self.open_gates()

    def open_gates(self):
        live = self.structures.split(self.surgeon.live)
        for name, values in self.structures.split(self.values).items():
            self.gates[name].set(values[live[name]])

    def change(self, live):
        fresh = self.surgeon.restructure(live, self.optimizer, RECIPE)
        self.open_gates()
        return fresh

    def train(self, steps=3):
        self.model.train()
        for _ in range(steps):
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(self.inputs), self.labels).backward()
            self.optimizer.step()

    @torch.no_grad()
    def logits(self, training=False):
        return self.model.train(training)(self.inputs)

    def state(self):
        """Everything that surgery could touch, by name; places of gone units hold nothing."""
        tensors = {k: v.detach().clone() for k, v in named_tensors(self.model).items()}
        memory = optimizer_state(self.model, self.optimizer)
        return tensors | {key: value.clone() for key, value in memory.items()}

    def mask(self, **live):
        """Make a flat mask of the positions listed by name (dots written as underscores)."""
        flat = torch.zeros(self.structures.total, dtype=torch.bool)
        for name, part in self.structures.split(flat).items():
            part[list(live.get(name.replace(".", "_"), ()))] = True
        return flat

    def some(self):
        """One unit that may go is live, with half of its channels."""
        return self.mask(
            stage0=[0, 2],
            stage0_block0=[1],
            stage0_block1=[0, 3],
            stage1=[0, 3, 4],
            stage1_block0=[2, 7],
            stage0_unit1=[0],
        )

    def more(self):
        """All but one unit are live; so are more channels, inside and on the streams."""
        return self.mask(
            stage0=[0, 1, 2],
            stage0_block0=[1, 3],
            stage0_block1=[0, 1, 3],
            stage0_block2=[1, 2],
            stage1=[0, 3, 4, 6, 7],
            stage1_block0=[0, 2, 5, 7],
            stage1_block1=[0, 4, 5],
            stage0_unit1=[0],
            stage1_unit1=[0],
        )

    def all(self):
        return torch.ones(self.structures.total, dtype=torch.bool)


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.fixture
def patient(unit_space):
    patient = Patient(unit_space)
    patient.seed(patient.some())
    patient.train()
    return patient


def test_the_seed_network_runs_without_the_units_that_are_not_live(patient):
    places = [type(layers) is Detached for stage in patient.model.stages for layers in stage]
    assert places == [False, False, True, False, True]
    sizes = {group.name: group.size for group in channel_groups(patient.model)}
    assert sizes == {
        "stage0": 2, "stage0.block0": 1, "stage0.block1": 2, "stage1": 3, "stage1.block0": 2,
    }  # fmt: skip
    held = {id(p) for group in patient.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in patient.model.parameters()}
    assert not any(name.startswith("stages.0.2") for name, _ in patient.model.named_parameters())


@pytest.mark.parametrize("training", [True, False])
def test_creating_residual_units_keeps_the_function(patient, training):
    before = patient.logits(training)
    fresh = patient.change(patient.all())
    names = [name for name, part in patient.structures.split(fresh).items() if part.any()]
    assert {"stage0.unit2", "stage1.unit1", "stage0.block2", "stage1"} <= set(names)
    torch.testing.assert_close(patient.logits(training), before, rtol=1e-5, atol=1e-6)


def test_a_created_unit_starts_from_the_full_networks_own_draw_behind_a_norm_of_zero(patient):
    initial = Patient(patient.space).model.stages[1][1]
    patient.change(patient.more())
    unit = patient.model.stages[1][1]
    stream, inner = [0, 3, 4, 6, 7], [0, 4, 5]
    assert torch.equal(unit.first.conv.weight, initial.first.conv.weight[inner][:, stream])
    # These take in channels as new as the unit, and are drawn all the same.
    assert torch.equal(unit.second.conv.weight, initial.second.conv.weight[stream][:, inner])
    assert (unit.second.norm.weight == 0).all()
    assert (unit.second.norm.bias == 0).all()
    assert (unit.first.norm.weight == 1).all()
    assert (unit.first.norm.running_var == 1).all()


def test_a_created_unit_learns_from_the_first_step_and_all_of_it_from_the_second(patient):
    patient.change(patient.more())
    unit = patient.model.stages[1][1]
    before = {name: p.detach().clone() for name, p in unit.named_parameters()}
    patient.train(1)
    # Two of the stream's five channels are new themselves, and nothing hears them yet.
    assert (unit.second.norm.weight[:3] != 0).all()
    patient.train(1)
    assert all((p != before[name]).any() for name, p in unit.named_parameters())


def test_a_created_unit_has_no_momentum_and_the_others_keep_theirs(patient):
    before = optimizer_state(patient.model, patient.optimizer)
    patient.change(patient.more())
    after = optimizer_state(patient.model, patient.optimizer)
    held = dict(patient.model.named_parameters())
    assert len([name for name in held if name.startswith("stages.1.1.")]) == 6
    assert not [key for key in after if key.startswith("stages.1.1.")]
    name = "stages.0.1.first.conv.weight/momentum_buffer"
    # Live rows were (0, 3) of columns (0, 2); now rows (0, 1, 3) of columns (0, 1, 2).
    assert torch.equal(after[name][[0, 2]][:, [0, 2]], before[name])


def test_detaching_a_unit_then_attaching_it_again_is_the_identity(patient):
    patient.change(patient.more())
    patient.train()
    before, logits = patient.state(), patient.logits()
    without = patient.more() & ~patient.mask(stage0_unit1=[0], stage1_unit1=[0])
    patient.change(without)
    assert isinstance(patient.model.stages[1][1], Detached)
    assert not torch.allclose(patient.logits(), logits)
    patient.change(patient.more())
    assert_same(patient.state(), before)
    assert torch.equal(patient.logits(), logits)


def test_what_the_indicators_inside_a_detached_unit_say_has_no_effect(patient):
    patient.change(patient.more())
    patient.train()
    before = patient.state()
    gone = patient.more() & ~patient.mask(stage1_unit1=[0])
    patient.change(gone)
    created = patient.surgeon.created.clone()
    patient.change(gone | patient.mask(stage1_block1=range(8)))
    assert torch.equal(patient.surgeon.live, patient.structures.running(gone))
    assert torch.equal(patient.surgeon.created, created)
    patient.change(patient.more())
    assert_same(patient.state(), before)


def test_a_detached_unit_gets_no_update_and_comes_back_with_what_it_had(patient):
    patient.change(patient.more())
    patient.train()
    weight = patient.model.stages[1][1].first.conv.weight.detach().clone()
    statistics = patient.model.stages[1][1].first.norm.running_mean.clone()
    patient.change(patient.more() & ~patient.mask(stage1_unit1=[0]))
    patient.train(2)
    patient.change(patient.more())
    unit = patient.model.stages[1][1]
    assert torch.equal(unit.first.conv.weight, weight)
    assert torch.equal(unit.first.norm.running_mean, statistics)
    assert unit.training is patient.model.training


def test_a_detached_unit_is_not_run(patient):
    patient.change(patient.more())
    unit, calls = patient.model.stages[1][1], []
    unit.register_forward_hook(lambda *_: calls.append(1))
    patient.logits()
    assert len(calls) == 1
    patient.change(patient.some())
    patient.logits()
    assert len(calls) == 1


def test_channels_created_while_a_unit_was_away_are_not_heard_when_it_comes_back(patient):
    with_unit = patient.some() | patient.mask(stage1_unit1=[0], stage1_block1=[1])
    patient.change(with_unit)
    patient.train()
    patient.change(patient.some())
    wider = patient.some() | patient.mask(stage1=[5])
    patient.change(wider)
    patient.change(wider | with_unit)
    # Stream channels 0, 3, 4, 5: the new one stands last.
    weight = patient.model.stages[1][1].first.conv.weight
    assert (weight[:, :3] != 0).all()
    assert (weight[:, 3] == 0).all()


def masked_full(patient):
    """The full configuration with the same weights, all that does not run gated to zero."""
    full = Patient(patient.space)
    state = {**named_tensors(patient.model), **patient.surgeon.full_values()}
    with torch.no_grad():
        for name, tensor in named_tensors(full.model).items():
            if name in state:
                tensor.copy_(state[name])
    values = patient.structures.split(patient.values)
    for name, live in patient.structures.split(patient.surgeon.live).items():
        full.gates[name].set(torch.where(live, values[name], torch.zeros(())))
    return full


@pytest.mark.parametrize("training", [True, False])
def test_the_compact_network_equals_the_masked_full_one_forward_and_backward(patient, training):
    patient.change(patient.more())
    patient.train()
    full = masked_full(patient)
    outputs = []
    for one in (patient, full):
        one.open_gates() if one is patient else None
        one.model.train(training).zero_grad()
        logits = one.model(patient.inputs)
        F.cross_entropy(logits, patient.labels).backward()
        outputs.append(logits.detach())
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-6, atol=1e-6)
    indices = patient.surgeon._indices()
    of_full = dict(full.model.named_parameters())
    for name, parameter in patient.model.named_parameters():
        gradient = of_full[name].grad
        gradient = gradient[indices[name]] if name in indices else gradient
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)
    for name, live in patient.structures.split(patient.surgeon.live).items():
        if live.any():
            expected = full.gates[name].value.grad[live]
            torch.testing.assert_close(
                patient.gates[name].value.grad, expected, rtol=1e-4, atol=1e-6
            )


def test_the_gate_of_a_unit_multiplies_what_its_last_norm_puts_out(patient):
    norm = patient.model.stages[0][1].second.norm
    values = patient.structures.split(patient.values)
    expected = values["stage0"][[0, 2]] * values["stage0.unit1"]
    assert torch.equal(norm.factor(), expected)
    assert norm.gate is patient.gates["stage0"]
    assert patient.model.stages[0][1].first.norm.unit_gate is None


def test_folding_leaves_the_plain_network_of_the_architecture_with_the_same_function(patient):
    patient.change(patient.more())
    patient.train()
    before = patient.logits()
    fold_gates(patient.model, patient.optimizer, RECIPE)
    assert torch.equal(patient.logits(), before)
    architecture = architecture_of(patient.space, patient.model)
    choices = dict(architecture.choices)
    assert (choices["stage0.units"], choices["stage1.units"]) == (2, 2)
    assert (choices["stage0.block1"], choices["stage1.block1"]) == (3, 3)
    plain = patient.space.build(architecture)
    assert repr(plain) == repr(patient.model)
    plain.load_state_dict(patient.model.state_dict())
    assert torch.equal(plain.eval()(patient.inputs), before)


def test_folding_keeps_the_momentum_of_units_that_move_up(patient):
    patient.change(patient.more() | patient.mask(stage0_unit2=[0]))
    patient.train()
    patient.change((patient.more() | patient.mask(stage0_unit2=[0]))
                   & ~patient.mask(stage0_unit1=[0]))  # fmt: skip
    before = optimizer_state(patient.model, patient.optimizer)
    fold_gates(patient.model, patient.optimizer, RECIPE)
    after = optimizer_state(patient.model, patient.optimizer)
    assert torch.equal(
        after["stages.0.1.first.conv.weight/momentum_buffer"],
        before["stages.0.2.first.conv.weight/momentum_buffer"],
    )
    assert {parameter_of(key) for key in after} == dict(patient.model.named_parameters()).keys()


def test_a_unit_that_changes_resolution_is_no_structure(unit_space, plain_space, bottleneck_space):
    for space in (unit_space, plain_space, bottleneck_space):
        patient = Patient(space)
        strided = {
            name.rsplit(".", 2)[0]
            for name, layer in patient.model.named_modules()
            if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1) and "stages" in name
        }
        assert strided
        growing = {unit.module for unit in patient.units}
        assert not any(path.startswith(tuple(f"{g}." for g in growing)) for path in strided)
        assert not growing & strided


SPACE = BasicResNetSpace(
    name="s", description="s", most_units=(2, 2), base_width=2, input_shape=(1, 4, 4), num_classes=3
)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_chain_of_changes_keeps_every_weight_in_its_place(seed):
    """Nothing trains here, so going back to the first structure must give the first network."""
    patient = Patient(SPACE, seed)
    generator = torch.Generator().manual_seed(seed)

    def draw():
        live = torch.rand(patient.structures.total, generator=generator) < 0.5
        return patient.structures.running(live | patient.structures.first_of_each())

    first = draw()
    patient.seed(first)
    patient.train(2)
    before = patient.state()
    for _ in range(3):
        patient.change(draw())
    patient.change(first)
    assert_same(patient.state(), before)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whatever_is_created_keeps_the_function(seed):
    patient = Patient(SPACE, seed)
    generator = torch.Generator().manual_seed(seed)
    live = patient.structures.first_of_each()
    patient.seed(live)
    for _ in range(3):
        patient.train(1)
        before = patient.logits()
        live = live | (torch.rand(patient.structures.total, generator=generator) < 0.4)
        patient.change(live)
        torch.testing.assert_close(patient.logits(), before, rtol=1e-4, atol=1e-5)


def test_a_created_plain_unit_is_the_identity_on_the_examples_that_it_has_seen(plain_space):
    patient = Patient(plain_space)
    start = patient.all() & ~patient.mask(stage0_unit1=[0], stage0_unit2=[0], stage1_unit1=[0])
    patient.seed(start)
    patient.train(5)
    before = patient.logits(training=True)
    fresh = patient.change(patient.all())
    # Normalised but not shifted back, the inputs would pass changed.
    assert not torch.allclose(patient.logits(training=True), before, atol=1e-2)
    become_identities(patient.model, patient.surgeon.plain_units(fresh), patient.inputs)
    torch.testing.assert_close(patient.logits(training=True), before, rtol=1e-4, atol=1e-4)
    weight = patient.model.stages[0][2].conv.weight.detach().clone()
    patient.train(1)
    assert (patient.model.stages[0][2].conv.weight != weight).any()


def test_a_plain_unit_that_comes_back_is_not_reset(plain_space):
    patient = Patient(plain_space)
    patient.seed(patient.all())
    patient.train(2)
    before = patient.state()
    patient.change(patient.all() & ~patient.mask(stage0_unit1=[0]))
    fresh = patient.change(patient.all())
    assert patient.surgeon.plain_units(fresh) == []
    assert_same(patient.state(), before)


def test_channels_that_join_a_plain_stage_keep_its_function(plain_space):
    patient = Patient(plain_space)
    narrow = patient.mask(stem=[0, 1], stage0=[0, 2], stage1=[1, 5],
                          stage0_unit1=[0], stage1_unit1=[0])  # fmt: skip
    patient.seed(narrow)
    patient.train()
    before = patient.logits()
    patient.change(narrow | patient.mask(stem=[3], stage0=[1, 4], stage1=[0, 8]))
    torch.testing.assert_close(patient.logits(), before, rtol=1e-5, atol=1e-6)


WIDE = WideResNetSpace(
    name="w", description="w", blocks=(2, 1), factor=1, input_shape=(1, 6, 6), num_classes=3
)
MOBILE = MobileNetV1Space(
    name="m", description="m", strides=(1, 1, 2, 1), input_shape=(1, 6, 6), num_classes=3
)


@pytest.mark.parametrize("space", [WIDE, MOBILE], ids=["wide-resnet", "mobilenetv1"])
def test_networks_that_norm_what_they_read_and_depthwise_ones_grow_without_a_jump(space):
    patient = Patient(space)
    live = patient.structures.first_of_each()
    patient.seed(live)
    patient.train()
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        before = patient.logits()
        live = live | (torch.rand(patient.structures.total, generator=generator) < 0.1)
        patient.change(live)
        torch.testing.assert_close(patient.logits(), before, rtol=1e-4, atol=1e-5)
        patient.train()
    expected = masked_full(patient).logits()
    torch.testing.assert_close(patient.logits(), expected, rtol=1e-4, atol=1e-5)
    fold_gates(patient.model, patient.optimizer, RECIPE)
    torch.testing.assert_close(patient.logits(), expected, rtol=1e-4, atol=1e-5)
    plain = space.build(architecture_of(space, patient.model))
    assert repr(plain) == repr(patient.model)


def test_a_full_copy_leaves_detached_units_away_and_keeps_the_function(patient):
    before = patient.logits()
    copy = patient.surgeon.full_copy(patient.gates)
    assert isinstance(copy.stages[0][2], Detached)
    assert copy.stages[0][1].first.conv.weight.shape == (4, 4, 3, 3)
    torch.testing.assert_close(copy.eval()(patient.inputs), before, rtol=1e-5, atol=1e-6)
