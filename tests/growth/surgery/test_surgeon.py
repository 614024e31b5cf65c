import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.surgery.optimizer_state import optimizer_state, start_value
from growsearch.growth.surgery.recalibration import recalibrate
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates, rebuild_optimizer
from growsearch.sparsity import Masks, sparsify
from growsearch.training import AdamW, Recipe, make_optimizer
from search_spaces import SEARCH_SPACES, channel_groups
from search_spaces.channel_groups import named_tensors

RECIPE = Recipe(epochs=2)
ADAM = Recipe(epochs=2, learning_rate=0.01, optimizer=AdamW())


class Patient:
    """A gated network under surgery, with its optimizer and something to train on."""

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
        self.inputs = torch.randn(12, *space.input_shape)
        self.labels = torch.arange(12) % space.num_classes

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
    def logits(self):
        return self.model.eval()(self.inputs)

    def state(self):
        """Everything that surgery could touch, by name."""
        tensors = {k: v.detach().clone() for k, v in named_tensors(self.model).items()}
        memory = optimizer_state(self.model, self.optimizer)
        return tensors | {key: value.clone() for key, value in memory.items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def mask(patient, **live):
    """Make a flat mask of the channels listed for every group (dots written as underscores)."""
    flat = torch.zeros(patient.structures.total, dtype=torch.bool)
    for name, part in patient.structures.split(flat).items():
        part[list(live[name.replace(".", "_")])] = True
    return flat


def some(patient):
    return mask(patient, stage0=[0, 2], stage0_block0=[1], stage1=[0, 3, 4], stage1_block0=[2, 7])


def more(patient):
    return mask(
        patient,
        stage0=[0, 1, 2],
        stage0_block0=[1, 3],
        stage1=[0, 3, 4, 6, 7],
        stage1_block0=[0, 2, 5, 7],
    )


@pytest.fixture
def patient(space):
    patient = Patient(space)
    patient.surgeon.seed(some(patient))
    rebuild_optimizer(patient.model, patient.optimizer, RECIPE, {})
    patient.open_gates()
    patient.train()
    return patient


def test_the_seed_network_has_only_the_live_widths(patient):
    assert [g.size for g in channel_groups(patient.model)] == [2, 1, 2, 3]
    block = patient.model.stages[1][0]
    assert (block.first.conv.in_channels, block.first.conv.out_channels) == (2, 2)
    assert block.shortcut.norm.num_features == 3
    assert patient.model.classifier.in_features == 3


def masked_full(patient):
    """The full configuration with the same weights, its dead channels gated to zero."""
    full = Patient(patient.space)
    tensors = named_tensors(full.model)
    state = {**named_tensors(patient.model), **patient.surgeon.full_values()}
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(state[name])
    for name, live in patient.structures.split(patient.surgeon.live).items():
        values = patient.structures.split(patient.values)[name]
        full.gates[name].set(torch.where(live, values, torch.zeros(())))
    return full


@pytest.mark.parametrize("training", [True, False])
def test_the_compact_network_equals_the_masked_full_one_forward_and_backward(patient, training):
    patient.change(more(patient))
    patient.train()
    patient.open_gates()
    full = masked_full(patient)
    outputs = []
    for one in (patient, full):
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
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-6, msg=name)
    for name, live in patient.structures.split(patient.surgeon.live).items():
        torch.testing.assert_close(
            patient.gates[name].value.grad, full.gates[name].value.grad[live], rtol=1e-5, atol=1e-6
        )


def test_creating_channels_keeps_the_function(patient):
    before = patient.logits()
    fresh = patient.change(more(patient))
    assert int(fresh.sum()) == 6
    torch.testing.assert_close(patient.logits(), before, rtol=1e-6, atol=1e-6)


def test_created_channels_start_learning_at_once(patient):
    patient.change(more(patient))
    assert (patient.model.classifier.weight[:, 3:] == 0).all()
    patient.train(1)
    assert (patient.model.classifier.weight[:, 3:] != 0).all()


def test_a_created_channel_is_the_full_networks_own_draw_with_fresh_statistics(patient):
    initial = Patient(patient.space).model.stages[1][0].first
    patient.change(more(patient))
    layer = patient.model.stages[1][0].first
    # Channel 5 of the group stands third; its inputs are channels 0, 1, 2 of the stream.
    assert torch.equal(layer.conv.weight[2], initial.conv.weight[5, :3])
    assert layer.norm.running_mean[2] == 0
    assert layer.norm.running_var[2] == 1
    assert (layer.norm.weight[2], layer.norm.bias[2]) == (1, 0)


def test_a_created_channel_has_no_momentum_and_the_others_keep_theirs(patient):
    before = optimizer_state(patient.model, patient.optimizer)
    patient.change(more(patient))
    after = optimizer_state(patient.model, patient.optimizer)
    name = "stages.1.0.first.conv.weight/momentum_buffer"
    # Live rows were (2, 7) of columns (0, 2); now rows (0, 2, 5, 7) of columns (0, 1, 2).
    assert torch.equal(after[name][[1, 3]][:, [0, 2]], before[name])
    assert (after[name][[0, 2]] == 0).all()
    assert (after[name][:, 1] == 0).all()
    bias = "classifier.bias/momentum_buffer"
    assert torch.equal(after[bias], before[bias])


def test_the_optimizer_holds_exactly_the_networks_parameters(patient):
    patient.change(more(patient))
    held = [id(p) for group in patient.optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in patient.model.parameters())
    assert {id(p) for p in patient.optimizer.state} <= set(held)
    fresh = make_optimizer(patient.model, RECIPE).param_groups
    decays = [group["weight_decay"] for group in patient.optimizer.param_groups]
    assert decays == [group["weight_decay"] for group in fresh]


def test_detaching_then_attaching_again_is_the_identity(patient):
    patient.change(more(patient))
    patient.train()
    before, logits = patient.state(), patient.logits()
    patient.change(some(patient))
    assert not torch.allclose(patient.logits(), logits)
    patient.change(more(patient))
    assert_same(patient.state(), before)
    assert torch.equal(patient.logits(), logits)


def test_weights_learned_meanwhile_stay_and_detached_ones_return(patient):
    patient.change(more(patient))
    patient.train()
    detached = patient.model.stages[0][0].first.conv.weight[1].detach().clone()
    patient.change(some(patient))
    patient.train()
    learned = patient.model.stages[0][0].first.conv.weight[0].detach().clone()
    patient.change(more(patient))
    weight = patient.model.stages[0][0].first.conv.weight
    assert torch.equal(weight[1], detached)
    assert torch.equal(weight[0][[0, 2]], learned)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_chain_of_changes_keeps_every_weight_in_its_place(seed):
    """Nothing trains here, so going back to the first structure must give the first network."""
    from search_spaces.families.mlp import MLPSpace

    space = MLPSpace(name="m", description="m", hidden=(5, 4), input_shape=(1, 2, 2), num_classes=3)
    patient = Patient(space, seed)
    generator = torch.Generator().manual_seed(seed)

    def draw():
        live = torch.rand(patient.structures.total, generator=generator) < 0.5
        return live | patient.structures.first_of_each()

    first = draw()
    patient.surgeon.seed(first)
    rebuild_optimizer(patient.model, patient.optimizer, RECIPE, {})
    patient.open_gates()
    patient.train(2)
    before = patient.state()
    for _ in range(3):
        patient.change(draw())
    patient.change(first)
    assert_same(patient.state(), before)


def test_folding_gates_keeps_the_function_and_leaves_the_plain_network(patient):
    before = patient.logits()
    fold_gates(patient.model, patient.optimizer, RECIPE)
    assert torch.equal(patient.logits(), before)
    plain = patient.space.build(
        patient.space.with_widths(
            patient.space.largest(), {g.name: g.size for g in channel_groups(patient.model)}
        )
    )
    assert [type(m) for m in plain.modules()] == [type(m) for m in patient.model.modules()]
    plain.load_state_dict(patient.model.state_dict())
    assert torch.equal(plain.eval()(patient.inputs), before)


def test_folding_gates_scales_momentum_of_scale_and_shift_only(patient):
    before = optimizer_state(patient.model, patient.optimizer)
    gate = patient.gates["stage1"].value.detach()
    fold_gates(patient.model, patient.optimizer, RECIPE)
    after = optimizer_state(patient.model, patient.optimizer)
    name = "stages.1.0.shortcut.norm.weight/momentum_buffer"
    assert torch.equal(after[name], before[name] * gate)
    name = "stem.conv.weight/momentum_buffer"
    assert torch.equal(after[name], before[name])
    patient.train(1)


def test_recalibration_averages_the_batches_statistics_and_restores_the_settings():
    norm = nn.BatchNorm1d(1)
    batches = [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [8.0]])]
    norm.running_mean.fill_(99.0)
    norm.eval()
    recalibrate(norm, batches)
    assert float(norm.running_mean) == pytest.approx((1 + 6) / 2)
    assert float(norm.running_var) == pytest.approx((2 + 8) / 2)
    assert norm.momentum == 0.1
    assert not norm.training


def test_recalibration_works_through_gates(patient):
    recalibrate(patient.model, [patient.inputs])
    expected = patient.model.stem.conv(patient.inputs).mean(dim=(0, 2, 3))
    torch.testing.assert_close(patient.model.stem.norm.running_mean, expected)


def test_depthwise_layers_grow_from_a_single_channel():
    space = SEARCH_SPACES["mobilenetv2"].for_data((1, 8, 8), 3)
    patient = Patient(space)
    patient.surgeon.seed(patient.structures.first_of_each())
    rebuild_optimizer(patient.model, patient.optimizer, RECIPE, {})
    patient.open_gates()
    before = patient.logits()
    generator = torch.Generator().manual_seed(0)
    wake = torch.rand(patient.structures.total, generator=generator) < 0.02
    patient.change(wake | patient.structures.first_of_each())
    torch.testing.assert_close(patient.logits(), before, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(masked_full(patient).logits(), before, rtol=1e-5, atol=1e-6)
    layer = patient.model.stages[3][1].depthwise.conv
    assert layer.groups == layer.in_channels == layer.weight.shape[0] > 1


def adam_patient(space, live):
    """The patient, trained by AdamW from the channels that ``live`` makes of it."""
    patient = Patient(space)
    patient.surgeon.seed(live(patient))
    rebuild_optimizer(patient.model, patient.optimizer, RECIPE, {})
    patient.optimizer = make_optimizer(patient.model, ADAM)
    patient.open_gates()
    patient.train()
    return patient


def test_both_moments_and_the_steps_of_adam_move_with_their_weights(space):
    patient = adam_patient(space, some)
    before = optimizer_state(patient.model, patient.optimizer)
    patient.surgeon.restructure(more(patient), patient.optimizer, ADAM)
    after = optimizer_state(patient.model, patient.optimizer)
    name = "stages.1.0.first.conv.weight"
    for entry in ("exp_avg", "exp_avg_sq"):
        # Live rows were (2, 7) of columns (0, 2); now rows (0, 2, 5, 7) of columns (0, 1, 2).
        moved = after[f"{name}/{entry}"][[1, 3]][:, [0, 2]]
        assert torch.equal(moved, before[f"{name}/{entry}"])
        assert moved.abs().sum() > 0
    assert after[f"{name}/step"] == before[f"{name}/step"] == 3
    assert (after[f"{name}/exp_avg"][[0, 2]] == 0).all()
    known = before[f"{name}/exp_avg_sq"]
    fresh = after[f"{name}/exp_avg_sq"][[0, 2]]
    assert torch.allclose(fresh, known[known > 0].mean())


def test_a_newcomers_first_steps_under_adam_are_no_longer_than_the_others_usual_ones():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight], lr=1.0, weight_decay=0.0)
    for _ in range(200):
        weight.grad = torch.tensor([1.0, 0.0])
        optimizer.step()
    memory = optimizer.state[weight]
    memory["exp_avg_sq"][1] = start_value("w/exp_avg_sq", memory["exp_avg_sq"])
    assert start_value("w/exp_avg", memory["exp_avg"]) == 0
    before = weight.detach().clone()
    for _ in range(20):
        weight.grad = torch.ones(2)
        optimizer.step()
    old, new = (weight.detach() - before).abs().tolist()
    # A second moment of zero would have let it go 2.6 times as far.
    assert 0.4 * old < new <= old


def test_adam_goes_on_with_a_reattached_channel_as_if_it_had_never_been_away(space):
    patient = adam_patient(space, more)
    before = patient.state()
    patient.surgeon.restructure(some(patient), patient.optimizer, ADAM)
    patient.surgeon.restructure(more(patient), patient.optimizer, ADAM)
    assert_same(patient.state(), before)


def test_masks_follow_their_weights(space):
    patient = Patient(space)
    generator = torch.Generator().manual_seed(0)
    sparsify(patient.model, sparsity=0.5, distribution="uniform", generator=generator)
    patient.surgeon = Surgeon(patient.model, channel_groups(patient.model))
    full = {name: patient.model.get_buffer(f"{name}_mask").clone()
            for name in Masks.of(patient.model)}  # fmt: skip
    patient.surgeon.seed(some(patient))
    rebuild_optimizer(patient.model, patient.optimizer, RECIPE, {})
    name = "stages.1.0.first.conv.weight"
    mask = patient.model.get_buffer(f"{name}_mask")
    assert torch.equal(mask, full[name][[2, 7]][:, [0, 2]])
    patient.change(more(patient))
    mask = patient.model.get_buffer(f"{name}_mask")
    assert torch.equal(mask, full[name][[0, 2, 5, 7]][:, [0, 1, 2]])
    Masks.of(patient.model).check()
