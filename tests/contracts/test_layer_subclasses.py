"""Layers that are a subclass of torch's, or behave as one: nothing may take them for plain ones.

Each stands for a family: a forward of its own, one that is set on the object, hooks, a patched
call, weights that are computed, further parameters.
"""

import copy
import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

import cost_models
from growsearch.errors import UsageError
from growsearch.growth.gates.insertion import gate_place, insert_gates
from growsearch.growth.surgery.recalibration import recalibrate
from growsearch.growth.surgery.surgeon import fold_gates
from growsearch.kinds.checking.program import program_bytes
from growsearch.sparsity import Masks, Timetable, sparsify
from growsearch.sparsity.maskable import unmaskable_layers
from growsearch.training import Recipe, make_optimizer
from growsearch.transforms import TRANSFORMS, SparseSettings, sparse_plan, transform
from search_spaces import SearchSpaceError, channel_groups
from search_spaces.channel_groups import sync_attributes
from search_spaces.own_networks.plain_layers import own_computation
from search_spaces.trace_groups import declare_traced_groups

INPUTS = (torch.linspace(-1, 1, 2 * 2 * 36).sin().view(2, 2, 6, 6),)


class Flipped(nn.Conv2d):
    def forward(self, x):
        return super().forward(x.flip(-1))


class Same(nn.Conv2d):
    """Pads by itself, as timm's Conv2dSame."""

    def forward(self, x):
        x = F.pad(x, (2, 0, 2, 0))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Negated(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return -super()._conv_forward(x, weight, bias)


class Standardised(nn.Conv2d):
    """As BiT's: mean 0 and variance 1 in every forward pass."""

    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        deviation = self.weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (self.weight - mean) / (deviation + 1e-5), self.bias)


class ScaledStandardised(Standardised):
    """As NFNet's, with a gain."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 0.7))

    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (self.weight - mean) * self.gain, self.bias)


class Adapted(nn.Conv2d):
    """With an adapter of low rank beside its weight."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.down = nn.Parameter(torch.randn(1, self.weight[0].numel()) * 0.1)
        self.up = nn.Parameter(torch.zeros(self.out_channels, 1))

    def forward(self, x):
        return self._conv_forward(
            x, self.weight + (self.up @ self.down).view_as(self.weight), self.bias
        )


class Called(nn.Conv2d):
    def __call__(self, x):
        return 2 * super().__call__(x)


class Activated(nn.BatchNorm2d):
    """As timm's BatchNormAct2d."""

    def forward(self, x):
        return F.silu(super().forward(x))


class Named(nn.BatchNorm2d):
    """Computes as torch's, but is made in another way and knows more."""

    def __init__(self, label, *, channels):
        super().__init__(channels)
        self.label = label


def on_object(layer):
    def forward(self, x):
        return F.conv2d(x.flip(-1), self.weight, self.bias, padding=1)

    layer.forward = types.MethodType(forward, layer)
    return layer


def hooked(layer):
    layer.register_forward_hook(lambda _, __, out: -out)
    return layer


def before(layer):
    layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].flip(-1),))
    return layer


CONVOLUTIONS = {
    "flipped": lambda: Flipped(8, 8, 3, padding=1),
    "same": lambda: Same(8, 8, 3),
    "conv_forward": lambda: Negated(8, 8, 3, padding=1),
    "standardised": lambda: Standardised(8, 8, 3, padding=1),
    "scaled": lambda: ScaledStandardised(8, 8, 3, padding=1),
    "adapted": lambda: Adapted(8, 8, 3, padding=1),
    "called": lambda: Called(8, 8, 3, padding=1),
    "on_object": lambda: on_object(nn.Conv2d(8, 8, 3, padding=1)),
    "hooked": lambda: hooked(nn.Conv2d(8, 8, 3, padding=1)),
    "before": lambda: before(nn.Conv2d(8, 8, 3, padding=1)),
    "weight_norm": lambda: parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1)),
}
NORMS = {
    "activated": lambda: Activated(8),
    "named": lambda: Named("norm", channels=8),
    "hooked norm": lambda: hooked(nn.BatchNorm2d(8)),
}
# Zeros that a mask puts into their weights come back.
UNMASKABLE = {"standardised", "scaled", "adapted", "weight_norm"}
EVERY = [*CONVOLUTIONS, *NORMS]
every = pytest.mark.parametrize("kind", EVERY)


def network(kind):
    torch.manual_seed(3)
    layer = CONVOLUTIONS.get(kind, lambda: nn.Conv2d(8, 8, 3, padding=1))()
    norm = NORMS.get(kind, lambda: nn.BatchNorm2d(8))()
    made = nn.Sequential(
        *(nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(layer, norm, nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return made.eval()


def own_place(kind):
    return "3" if kind in CONVOLUTIONS else "4"


def out(module):
    with torch.no_grad():
        return module.eval()(*INPUTS)


def assert_same_computation(kind, module):
    """The layer in ``module`` computes what a fresh one of its kind does with its tensors."""
    found, fresh = (m.get_submodule(own_place(kind)) for m in (module, network(kind)))
    assert type(found).__name__ == type(fresh).__name__
    assert own_computation(found) == own_computation(fresh)
    state = {n: t for n, t in found.state_dict().items() if not n.endswith("weight_mask")}
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        owner = fresh.get_submodule(".".join(path))
        store = owner._parameters if leaf in owner._parameters else owner._buffers
        store[leaf] = nn.Parameter(tensor) if store is owner._parameters else tensor
    convolution = isinstance(found, nn.Conv2d)
    x = torch.randn(2, found.weight.shape[1] if convolution else len(found.running_mean), 6, 6)
    with torch.no_grad():
        assert torch.allclose(found.eval()(x), fresh.eval()(x), atol=1e-6)


@every
def test_what_computes_in_its_own_way_is_told_from_what_does_not(kind):
    layer = network(kind).get_submodule(own_place(kind))
    assert bool(own_computation(layer)) == (kind != "named")
    plain = [each for each in network("named") if not isinstance(each, nn.Sequential)]
    assert all(own_computation(each) == "" for each in plain)


@every
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_keeps_the_layer_as_it_is_and_counts_right(name, kind):
    dense = network(kind)
    done = transform(dense, name, sparsity=0.5, example_inputs=INPUTS, generator=torch.Generator())
    assert_same_computation(kind, done.module)
    traced = cost_models.trace(done.module, INPUTS)
    assert traced.effective_macs == done.match.macs
    assert (f"{own_place(kind)}.weight" in Masks.of(done.module)) <= (kind not in UNMASKABLE)
    if name != "sparse_wide" and kind in CONVOLUTIONS:
        assert {each.removesuffix(".weight") for each in done.kept} == {"3"}


@every
@pytest.mark.parametrize("name", ["sparse_wide", "sparse_parallel", "sparse_doped"])
def test_at_density_one_the_function_is_unchanged(name, kind):
    dense = network(kind)
    done = transform(dense, name, sparsity=0.0, example_inputs=INPUTS)
    assert torch.equal(out(done.module), out(dense))


@every
@pytest.mark.parametrize("updater", ["static", "rigl", "set", "granet", "gmp"])
def test_masks_are_on_weights_that_keep_their_zeros_alone(updater, kind):
    dense = network(kind)
    plan = sparse_plan(
        dense,
        SparseSettings(sparsity=0.5, updater=updater),
        INPUTS,
        timetable=Timetable(steps=20),
        generator=torch.Generator().manual_seed(0),
    )
    masked = Masks.of(plan.module)
    assert ("3.weight" in masked) == (kind not in UNMASKABLE)
    assert (kind in UNMASKABLE) == bool(unmaskable_layers(dense))
    work = cost_models.trace_weights(plan.module, INPUTS)
    assert not set(work.computed) & set(masked)
    dense_work = cost_models.trace_weights(dense, INPUTS)
    saved = sum(
        (masked[n].numel() - kept) * dense_work.macs_per_element[n]
        for n, kept in masked.nonzeros().items()
    )
    assert work.workload.effective_macs == dense_work.workload.dense_macs - saved


@every
def test_a_mask_that_hides_nothing_leaves_the_function(kind):
    dense = network(kind)
    same = copy.deepcopy(dense)
    sparsify(same, sparsity=0.0, generator=torch.Generator())
    assert torch.equal(out(same), out(dense))


@every
def test_gates_are_put_in_and_folded_into_the_very_layers(kind):
    dense = network(kind)
    declare_traced_groups(dense, INPUTS)
    groups = tuple(g for g in channel_groups(dense) if not g.kept and gate_place(dense, g))
    assert groups
    gated = copy.deepcopy(dense)
    gates = insert_gates(gated, groups)
    assert torch.allclose(out(gated), out(dense), atol=1e-6)
    for gate in gates.values():
        gate.set(torch.linspace(0, 1, len(gate.value)))
    expected = out(gated)
    recipe = Recipe(epochs=1)
    fold_gates(gated, make_optimizer(gated, recipe), recipe)
    assert torch.allclose(out(gated), expected, atol=1e-6)
    assert [type(m) for m in gated.modules()] == [type(m) for m in dense.modules()]
    assert_same_computation(kind, gated)


@every
def test_sparse_execution_computes_the_same_and_leaves_the_layer(kind):
    dense = network(kind)
    sparsify(dense, sparsity=0.5, generator=torch.Generator().manual_seed(0))
    compiled = cost_models.SparseExecutor().compile(dense, INPUTS)
    assert torch.allclose(out(compiled), out(dense), atol=1e-5)
    assert_same_computation(kind, compiled.network)
    if kind in CONVOLUTIONS and kind != "weight_norm":
        assert "3" not in [choice.name for choice in compiled.choices]


@pytest.mark.parametrize("kind", ["flipped", "on_object", "hooked", "standardised", "activated"])
def test_an_exported_program_computes_the_same(kind, tmp_path):
    dense = network(kind)
    (tmp_path / "program.pt2").write_bytes(program_bytes(dense, *INPUTS))
    program = torch.export.load(tmp_path / "program.pt2").module()
    with torch.no_grad():
        assert torch.allclose(program(*INPUTS), out(dense), atol=1e-6)


class Conv1D(nn.Module):
    """As transformers': a linear layer whose weight is (in, out)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(*x.shape[:-1], -1)


def test_a_layer_of_an_own_class_that_multiplies_by_its_matrix_is_masked_and_widened():
    torch.manual_seed(0)
    dense = nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), Conv1D(8, 16), nn.ReLU(), Conv1D(16, 8), nn.Linear(8, 3)
    )
    inputs = (torch.randn(2, 6),)
    done = transform(dense, "sparse_wide", sparsity=0.75, example_inputs=inputs)
    assert list(Masks.of(done.module)) == ["2.weight", "4.weight"]
    assert done.module[2].weight.shape == (16, 32)
    assert cost_models.trace(done.module, inputs).effective_macs == done.match.macs
    assert done.match.within_tolerance


def test_a_single_layer_with_a_forward_of_its_own_is_not_widened_as_a_plain_one():
    inputs = (torch.zeros(1, 4, 5, 5),)
    with pytest.raises(SearchSpaceError, match="Flipped has no channels that can be resized"):
        transform(Flipped(4, 4, 3), "sparse_wide", sparsity=0.5, example_inputs=inputs)
    with pytest.raises(UsageError, match="Flipped has no linear layer and no 2-D convolution"):
        transform(Flipped(4, 4, 3), "sparse_parallel", sparsity=0.5, example_inputs=inputs)


class Doubled(nn.Linear):
    """Its weight is a property, and its sizes are none that a resize could set."""

    def __init__(self):
        super().__init__(4, 4)
        raw = self.weight
        del self.weight
        self.raw = raw

    @property
    def weight(self):
        return 2 * self.raw


def test_attributes_of_sizes_follow_stored_weights_alone():
    packed = nn.Linear(8, 4)
    packed.weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.uint8), requires_grad=False)
    network = nn.Sequential(packed, Doubled(), nn.Linear(3, 2))
    sync_attributes(network)
    assert (packed.in_features, network[1].in_features, network[2].in_features) == (8, 4, 3)


class Momentum(nn.BatchNorm2d):
    """With statistics of its own, which need a number for the momentum."""

    def forward(self, x):
        if self.training:
            self.running_mean.lerp_(x.detach().mean((0, 2, 3)), self.momentum)
        return x - self.running_mean.view(1, -1, 1, 1)


def test_statistics_of_a_norm_with_its_own_forward_are_taken_anew():
    network = nn.Sequential(Momentum(3), nn.BatchNorm2d(3))
    batches = [torch.randn(4, 3, 2, 2) for _ in range(3)]
    recalibrate(network, batches)
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    assert torch.allclose(network[0].running_mean, expected, atol=1e-6)
    assert network[0].momentum == 0.1
    # A last batch of one example would be no variance.
    recalibrate(nn.Sequential(nn.BatchNorm1d(3)), torch.split(torch.randn(9, 3), 4))


@pytest.mark.parametrize("kind", ["padding", "flipped"])
def test_an_embedding_that_does_more_is_gated_where_it_is_read(kind):
    class Scaled(nn.Embedding):
        def forward(self, tokens):
            return 3 * super().forward(tokens)

    torch.manual_seed(0)
    first = nn.Embedding(6, 4, padding_idx=0) if kind == "padding" else Scaled(6, 4)
    dense, tokens = nn.Sequential(first, nn.Linear(4, 2)), (torch.tensor([[1, 2, 0]]),)
    declare_traced_groups(dense, tokens)
    gated = copy.deepcopy(dense)
    gates = insert_gates(gated, channel_groups(gated))
    assert type(gated[0]) is type(first)
    for gate in gates.values():
        gate.set(torch.tensor([0.0, 0.5, 1.0, 0.25]))
    expected, recipe = gated(*tokens), Recipe(epochs=1)
    fold_gates(gated, make_optimizer(gated, recipe), recipe)
    assert torch.allclose(gated(*tokens), expected, atol=1e-6)
    assert not torch.allclose(gated(*tokens), dense(*tokens))


class Asking(nn.Module):
    """Asks its layer for its device and sizes, as edgenext does, and never for its values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.head = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        width, weight = self.inner.in_features, self.inner.weight
        x = self.stem(x) + torch.ones(width, device=weight.device, dtype=weight.dtype)
        return self.head(self.inner(x))


@pytest.mark.parametrize("name", ["sparse_parallel", "sparse_factorized", "sparse_doped"])
def test_code_that_asks_a_layer_for_its_sizes_runs_with_others_in_its_place(name):
    inputs = (torch.ones(2, 4),)
    done = transform(Asking(), name, sparsity=0.5, example_inputs=inputs)
    assert cost_models.trace(done.module, inputs).effective_macs == done.match.macs
    assert bool(copy.deepcopy(done.module)(*inputs).isfinite().all())
    assert done.module.inner.weight.shape == (8, 8)
    # Whoever computes with it gets no wrong number.
    assert bool(done.module.inner.weight.isnan().all())
    with pytest.raises(AttributeError, match="no attribute 'scale'"):
        _ = done.module.inner.scale
