"""What every transform promises, run for every line of the registry."""

import copy
import math

import pytest
import torch
from torch import nn

import cost_models
from growsearch.errors import UsageError
from growsearch.sparsity.layers import first_and_last, macs_per_weight
from growsearch.sparsity.masks import Masks, masks_in_state
from growsearch.transforms import DESCRIPTIONS, TRANSFORMS, apply, expand, transform
from search_spaces import SEARCH_SPACES, SearchSpaceError

SPARSITY = 0.6  # what the fixtures transform with
every_transform = pytest.mark.parametrize("name", TRANSFORMS)
every_sparse_transform = pytest.mark.parametrize("name", [n for n in TRANSFORMS if n != "low_rank"])


def test_every_transform_is_described_in_one_line():
    assert DESCRIPTIONS.keys() == TRANSFORMS.keys()
    assert all(text and "\n" not in text for text in DESCRIPTIONS.values())


def test_an_unknown_transform_is_refused_with_the_valid_names(residual):
    with pytest.raises(UsageError, match=r"sparse_tall.*sparse_wide, sparse_parallel"):
        apply(residual.module, "sparse_tall", sparsity=0.5, example_inputs=residual.inputs)


@every_transform
@pytest.mark.parametrize("sparsity", [-0.1, 1.0])
def test_a_sparsity_outside_zero_to_one_is_refused(name, sparsity, residual):
    with pytest.raises(UsageError, match="outside"):
        expand(residual.module, name, sparsity)


@every_sparse_transform
def test_a_trace_counts_the_dense_networks_macs_as_nearly_as_whole_weights_can(name, example):
    module = example.transformed(name).module
    dense = cost_models.trace(example.module, example.inputs).dense_macs
    after = cost_models.trace(module, example.inputs)
    steps = [macs_per_weight(module, example.inputs)[n] for n in Masks.of(module)]
    assert abs(after.effective_macs - dense) <= math.gcd(*steps) / 2
    assert after.dense_macs > after.effective_macs


@every_transform
def test_the_result_says_what_a_trace_counts(name, residual):
    result = residual.transformed(name)
    assert cost_models.trace(result.module, residual.inputs).effective_macs == result.match.macs
    dense = cost_models.trace(residual.module, residual.inputs).dense_macs
    assert result.match.target_macs == dense
    assert result.match.relative_error == pytest.approx(result.match.macs / dense - 1)


@every_transform
def test_the_given_network_and_the_interface_stay(name, example):
    before = copy.deepcopy(example.module.state_dict())
    module = expand(example.module, name, SPARSITY)
    assert example(module).shape == example().shape
    assert torch.isfinite(example(module)).all()
    after = example.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@every_sparse_transform
def test_masks_can_be_found_and_their_zeros_are_the_only_ones(name, example):
    result = example.transformed(name)
    masks = Masks.of(result.module)
    masks.check()
    zeros = {n: masks[n].numel() - kept for n, kept in masks.nonzeros().items()}
    assert zeros == dict(result.match.zeros)
    assert all(bool((masks.weight(n)[masks[n]] != 0).all()) for n in masks)
    assert result.match.sparsity == pytest.approx(1 - masks.density)


@every_sparse_transform
def test_the_first_and_the_last_layer_stay_dense(name, residual):
    module = residual.transformed(name).module
    ends = first_and_last(module)
    assert not set(ends) & set(Masks.of(module))
    assert all(bool((module.get_parameter(end) != 0).all()) for end in ends)


@every_sparse_transform
def test_the_ends_are_transformed_too_when_asked(name, residual):
    module = apply(
        residual.module, name, sparsity=0.5, example_inputs=residual.inputs, dense_ends=False
    )
    masked = list(Masks.of(module))
    assert masked[0].startswith("stem")
    assert masked[-1].startswith("classifier")


@pytest.mark.parametrize("name", ["sparse_wide", "sparse_parallel", "sparse_doped"])
def test_sparsity_zero_gives_back_the_dense_network(name, example):
    module = apply(example.module, name, sparsity=0.0, example_inputs=example.inputs)
    assert module is not example.module
    assert torch.equal(example(module), example())
    assert torch.equal(example(expand(example.module, name, 0.0, activation=False)), example())


@every_transform
def test_the_same_seed_gives_the_same_network(name, residual):
    again = apply(
        residual.module,
        name,
        sparsity=SPARSITY,
        distribution="erk",
        generator=torch.Generator().manual_seed(0),
        example_inputs=residual.inputs,
    )
    assert torch.equal(residual(again), residual(residual.transformed(name).module))


def test_another_seed_gives_other_weights_and_masks(residual):
    one, other = (
        apply(
            residual.module,
            "sparse_parallel",
            sparsity=0.5,
            generator=torch.Generator().manual_seed(seed),
            example_inputs=residual.inputs,
        )
        for seed in (5, 6)
    )
    name = Masks.of(one).names[0]
    assert not torch.equal(Masks.of(one)[name], Masks.of(other)[name])
    assert not torch.equal(residual(one), residual(other))


def test_torchs_own_generator_is_left_alone(residual):
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    apply(residual.module, "sparse_wide", sparsity=0.5, example_inputs=residual.inputs)
    assert torch.equal(torch.rand(3), expected)


@every_transform
def test_the_structure_is_rebuilt_from_its_arguments_and_takes_the_state(name, example):
    result = example.transformed(name)
    module, state = result.module, result.module.state_dict()
    again = expand(example.module, name, SPARSITY, sizes=result.sizes)
    assert len(Masks.of(again)) == 0
    Masks.attach(again, masks_in_state(state))
    again.load_state_dict(state)
    assert torch.equal(example(again), example(module))


@every_transform
def test_the_activation_is_part_of_the_structure(name, residual):
    plain = expand(residual.module, name, SPARSITY, activation=False)
    rich = expand(residual.module, name, SPARSITY, activation=True)
    more = len(rich.state_dict()) - len(plain.state_dict())
    assert more == 0 if name == "sparse_wide" else more > 0


@every_transform
def test_transformed_networks_can_be_trained_one_step(name, example):
    module = example.transformed(name).module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(*example.inputs).square().mean().backward()
    gradients = [p.grad for p in module.parameters() if p.ndim > 1]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    optimizer.step()
    masks = Masks.of(module)
    masks.apply()
    masks.check()
    assert torch.isfinite(example(module)).all()


def test_a_network_of_two_layers_has_nothing_between_its_dense_ends():
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    inputs = (torch.zeros(1, 4),)
    with pytest.raises(UsageError, match="dense_ends=False"):
        apply(module, "sparse_parallel", sparsity=0.5, example_inputs=inputs)


def test_a_network_needs_an_example(residual):
    with pytest.raises(UsageError, match="example_inputs"):
        apply(residual.module, "sparse_wide", sparsity=0.5)


def test_ends_too_dear_for_the_sparsity_are_refused_with_both_figures():
    space = SEARCH_SPACES["mlp-digits"]
    torch.manual_seed(0)
    tiny = space.build(space.with_widths(space.largest(), {"hidden0": 4, "hidden1": 4}))
    # 64 x 8 + 8 x 10 + 1 against 64 x 4 + 4 x 4 + 4 x 10.
    with pytest.raises(UsageError, match=r"593 MACs.*312"):
        apply(tiny, "sparse_wide", sparsity=0.75, example_inputs=space.example_inputs())


@pytest.mark.parametrize(
    ("name", "sparsity", "width"), [("sparse_wide", 0.75, 16), ("low_rank", 0.5, 11)]
)
def test_a_network_without_declared_groups_is_traced(name, sparsity, width, separable):
    module = apply(separable.module, name, sparsity=sparsity, example_inputs=separable.inputs)
    assert module[1].weight.shape == (width, 1, 3, 3)
    assert separable(module).shape == (2, 3)
    assert not hasattr(separable.module, "channel_groups")


def test_a_structure_without_declared_groups_cannot_be_widened_from_its_arguments(separable):
    with pytest.raises(SearchSpaceError, match="does not declare its channel groups"):
        expand(separable.module, "sparse_wide", 0.75)


class Encoder(nn.Module):
    """Torch's own transformer: its attention and its fused path read weights, not layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(32, 50)

    def forward(self, tokens: torch.Tensor, padding: torch.Tensor | None = None) -> torch.Tensor:
        out: torch.Tensor = self.head(self.encoder(self.embedding(tokens), None, padding))
        return out


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if n != "low_rank"])
def test_torchs_own_transformer_is_transformed_at_equal_macs(name):
    inputs = (torch.randint(50, (2, 12)),)
    dense = Encoder()
    done = transform(dense, name, sparsity=0.75, distribution="erk", example_inputs=inputs)
    target = cost_models.trace(dense, inputs).dense_macs
    assert done.match.within_tolerance
    assert cost_models.trace(done.module, inputs).effective_macs == pytest.approx(target, rel=1e-6)
    slow = done.module.eval()(*inputs)
    # In evaluation and without gradients torch takes the fused path where it can.
    with torch.no_grad():
        assert torch.allclose(done.module(*inputs), slow, atol=1e-5)
        if name != "sparse_wide":
            padding = torch.zeros(2, 12, dtype=torch.bool)
            assert torch.allclose(done.module(*inputs, padding), slow, atol=1e-5)
    projection = "encoder.layers.0.self_attn.out_proj.weight"
    assert (projection in Masks.of(done.module)) == (name == "sparse_wide")


def test_a_layer_whose_weight_is_only_read_stays_dense():
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.read = nn.Linear(8, 16), nn.Linear(16, 16)
            self.inner, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.last(self.inner(self.first(x) @ self.read.weight))
            return out

    inputs = (torch.zeros(2, 8),)
    space = apply(Reading(), "sparse_wide", sparsity=0.5, example_inputs=inputs)
    assert tuple(Masks.of(space)) == ("inner.weight",)


class ReadsLayers(nn.Module):
    """Attention by a function that reads the weights of layers as these would."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(8, 16), nn.LayerNorm(16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.up, self.down, self.last = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        linear = nn.functional.linear
        q, k, v = linear(self.norm(x), self.qkv.weight, self.qkv.bias).chunk(3, -1)
        mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        x = x + linear(mixed, self.out.weight, self.out.bias)
        out: torch.Tensor = self.last(x + self.down(self.up(x).relu()))
        return out


def test_sparse_wide_masks_weights_that_a_function_reads_as_their_layer_would():
    inputs = (torch.zeros(2, 6, 8),)
    done = transform(ReadsLayers(), "sparse_wide", sparsity=0.75, example_inputs=inputs)
    names = {f"{layer}.weight" for layer in ("qkv", "out", "up", "down")}
    assert set(Masks.of(done.module)) == names
    assert done.module.qkv.in_features == 32
    target = cost_models.trace(ReadsLayers(), inputs).dense_macs
    assert cost_models.trace(done.module, inputs).effective_macs == pytest.approx(target, rel=1e-3)


@pytest.mark.parametrize("name", ["sparse_parallel", "sparse_factorized", "sparse_doped"])
def test_a_layer_whose_weight_a_function_reads_stays_one_and_the_others_are_replaced(name):
    inputs = (torch.zeros(2, 6, 8),)
    done = transform(ReadsLayers(), name, sparsity=0.5, example_inputs=inputs)
    assert set(done.sizes.whole) == set(done.kept) == {"qkv", "out"}
    assert "read by a function" in done.kept["qkv"]
    assert isinstance(done.module.qkv, nn.Linear)
    assert {mask.partition(".")[0] for mask in Masks.of(done.module)} == {"up", "down"}
    again = expand(ReadsLayers(), name, 0.5, sizes=done.sizes)
    state = done.module.state_dict()
    Masks.attach(again, masks_in_state(state))
    again.load_state_dict(state)
    assert torch.equal(again.eval()(torch.ones(2, 6, 8)), done.module.eval()(torch.ones(2, 6, 8)))
