"""What each member of the family computes, against formulas written out by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cost_models
from growsearch.errors import UsageError
from growsearch.sparsity import NOfM, prunable_layers
from growsearch.sparsity.masks import Masks
from growsearch.transforms import apply, expand, transform
from growsearch.transforms.applying import fitting
from growsearch.transforms.expansion import ExpansionRequest
from growsearch.transforms.sparse_wide import sparse_wide
from search_spaces.families.mlp import MLP
from search_spaces.trace_groups import declare_traced_groups


def randomise_norms(module: nn.Module) -> None:
    """Give BatchNorm statistics that a test can tell from the identity."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                tensor.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)


def act(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    shape = (1, -1, 1, 1) if x.ndim == 4 else (-1,)
    centred = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
    return (centred * norm.weight.view(shape) + norm.bias.view(shape)).clamp(min=0)


def norm_of(activation: nn.Module) -> nn.Module:
    return activation[0] if isinstance(activation, nn.Sequential) else activation.norm


@pytest.mark.parametrize(("sparsity", "branches"), [(0.5, 2), (0.75, 4), (0.9, 10), (0.6, 2)])
def test_parallel_has_one_branch_for_every_multiple_of_the_dense_weights(sparsity, branches):
    module = expand(nn.Linear(6, 4), "sparse_parallel", sparsity)
    assert len(module.branches) == branches
    assert all(branch.weight.shape == (4, 6) for branch in module.branches)


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(6, 4, 3, stride=2, padding=1)])
def test_parallel_sums_activated_branches(layer):
    torch.manual_seed(0)
    module = expand(layer, "sparse_parallel", 0.5).eval()
    randomise_norms(module)
    x = torch.randn(2, 6, 5, 5) if isinstance(layer, nn.Conv2d) else torch.randn(2, 3, 6)
    expected = 0
    for branch, activation in zip(module.branches, module.activations, strict=True):
        if isinstance(layer, nn.Conv2d):
            inner = F.conv2d(x, branch.weight, stride=2, padding=1)
        else:
            inner = x @ branch.weight.T
        expected = expected + act(inner, norm_of(activation))
    assert torch.allclose(module(x), expected, atol=1e-5)


def test_parallel_without_activation_is_one_linear_map_with_one_bias():
    torch.manual_seed(0)
    module = expand(nn.Linear(6, 4), "sparse_parallel", 0.75, activation=False)
    with torch.no_grad():
        module.branches[0].bias.uniform_()
    x = torch.randn(3, 6)
    weight = sum(branch.weight for branch in module.branches)
    assert torch.allclose(module(x), F.linear(x, weight, module.branches[0].bias), atol=1e-5)
    assert all(branch.bias is None for branch in list(module.branches)[1:])


@pytest.mark.parametrize(
    ("layer", "sparsity", "hidden"),
    [
        # 12 x 4 / (16 x 0.5) = 6
        (nn.Linear(12, 4), 0.5, 6),
        # 12 x 4 / 16 = 3
        (nn.Linear(12, 4), 0.0, 3),
        # (2 x 9) x 6 / (24 x 0.25) = 18
        (nn.Conv2d(2, 6, 3), 0.75, 18),
        # 5 x 4 / (9 x 0.5) = 4.44, rounded up
        (nn.Linear(5, 4), 0.5, 5),
    ],
)
def test_factorized_has_the_hidden_channels_of_equal_macs(layer, sparsity, hidden):
    module = expand(layer, "sparse_factorized", sparsity)
    assert module.down.weight.shape[0] == hidden
    assert module.up.weight.shape[:2] == (layer.weight.shape[0], hidden)
    assert set(Masks.of(apply(layer, "sparse_factorized", sparsity=0.5))) == {
        "down.weight",
        "up.weight",
    }


def test_factorized_is_a_spatial_convolution_then_act_then_a_pointwise_one():
    torch.manual_seed(0)
    module = expand(nn.Conv2d(2, 6, 3, stride=2, padding=1), "sparse_factorized", 0.5).eval()
    randomise_norms(module)
    x = torch.randn(2, 2, 7, 7)
    inner = act(F.conv2d(x, module.down.weight, stride=2, padding=1), norm_of(module.activation))
    assert torch.allclose(module(x), F.conv2d(inner, module.up.weight, module.up.bias), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "sparsity", "rank"),
    [
        # 0.5 x 12 x 4 / 16 = 1.5, rounded down
        (nn.Linear(12, 4), 0.5, 1),
        # 0.75 x 18 x 6 / 24 = 3.375
        (nn.Conv2d(2, 6, 3), 0.75, 3),
        # 0.1 x 12 x 4 / 16 = 0.3: one at least
        (nn.Linear(12, 4), 0.1, 1),
    ],
)
def test_doped_has_the_rank_of_equal_macs(layer, sparsity, rank):
    module = expand(layer, "sparse_doped", sparsity)
    assert module.down.weight.shape[0] == rank
    assert module.theta.weight.shape == layer.weight.shape


def test_doped_adds_a_linear_path_and_an_activated_layer():
    torch.manual_seed(0)
    module = expand(nn.Linear(12, 8), "sparse_doped", 0.5).eval()
    randomise_norms(module)
    x = torch.randn(3, 12)
    low_rank = F.linear(F.linear(x, module.down.weight), module.up.weight, module.up.bias)
    sparse = act(F.linear(x, module.theta.weight), norm_of(module.activation))
    assert torch.allclose(module(x), low_rank + sparse, atol=1e-5)


def test_doped_masks_theta_alone():
    result = transform(nn.Linear(64, 64), "sparse_doped", sparsity=0.5)
    assert set(Masks.of(result.module)) == {"theta.weight"}
    # 4,096 MACs: 16 x 128 in the dense path leave 2,048 for theta.
    assert result.match.zeros == {"theta.weight": 2048}
    assert bool((result.module.down.weight != 0).all())
    assert bool((result.module.up.weight != 0).all())


@pytest.mark.parametrize(("sparsity", "rank"), [(0.0, 8), (0.75, 4)])
def test_low_rank_widens_and_lowers_the_rank_by_as_much(sparsity, rank):
    """16 x 16 = 256 MACs: 32 x 8 at width 1, 64 x 4 at width 2."""
    module = apply(nn.Linear(16, 16), "low_rank", sparsity=sparsity)
    assert module.down.weight.shape[0] == rank
    assert module.down.weight.numel() + module.up.weight.numel() == 256
    assert len(Masks.of(module)) == 0


@pytest.mark.parametrize(("sparsity", "shape"), [(0.5, (11, 16)), (0.75, (16, 24))])
def test_wide_scales_a_bare_layer_on_both_sides(sparsity, shape):
    result = transform(nn.Linear(12, 8), "sparse_wide", sparsity=sparsity)
    assert result.module.weight.shape == shape
    assert int((result.module.weight != 0).sum()) == 12 * 8


def test_wide_gives_a_bare_depthwise_convolution_as_many_more_channels_as_weights_are_zero():
    result = transform(nn.Conv2d(8, 8, 3, groups=8), "sparse_wide", sparsity=0.75)
    assert result.module.weight.shape == (32, 1, 3, 3)
    assert result.module.groups == 32
    assert result.module(torch.zeros(1, 32, 5, 5)).shape == (1, 32, 3, 3)
    assert int((result.module.weight != 0).sum()) == 8 * 9


@pytest.mark.parametrize("name", ["sparse_parallel", "sparse_factorized", "sparse_doped"])
def test_depthwise_convolutions_are_left_alone_by_the_other_members(name, separable):
    module = apply(separable.module, name, sparsity=0.5, example_inputs=separable.inputs)
    assert torch.equal(module[1].weight, separable.module[1].weight)
    assert all(masked.startswith("2.") for masked in Masks.of(module))


@pytest.mark.parametrize("name", ["sparse_parallel", "sparse_factorized", "sparse_doped"])
def test_a_network_of_depthwise_layers_alone_is_refused(name):
    with pytest.raises(UsageError, match="2-D convolution of one group"):
        apply(nn.Conv2d(8, 8, 3, groups=8), name, sparsity=0.5)


def test_a_layer_that_is_used_twice_is_replaced_in_both_places():
    shared = nn.Linear(8, 8)
    module = nn.Sequential(nn.Linear(4, 8), shared, nn.ReLU(), shared, nn.Linear(8, 2))
    result = transform(module, "sparse_parallel", sparsity=0.5, example_inputs=(torch.zeros(1, 4),))
    assert result.module[1] is result.module[3]
    # 2 x 64 MACs of the shared layer, now over two branches that run twice.
    assert sum(result.match.zeros.values()) == 64
    assert result.match.relative_error == 0


def test_batch_norm_of_a_sequence_normalises_over_examples_and_places():
    torch.manual_seed(0)
    module = expand(nn.Linear(3, 5), "sparse_parallel", 0.1).train()
    x = torch.randn(4, 7, 3)
    inner = x @ module.branches[0].weight.T
    expected = (inner - inner.mean((0, 1))) / (inner.var((0, 1), unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(module(x), expected.clamp(min=0), atol=1e-4)


def test_low_rank_ranks_pay_for_the_wider_ends_and_mix_to_the_nearest():
    torch.manual_seed(0)
    module = MLP(60, {"hidden0": 48, "hidden1": 60, "hidden2": 48, "hidden3": 60}, 5)
    result = transform(module, "low_rank", sparsity=0.3, example_inputs=(torch.zeros(1, 60),))
    dense = 60 * 48 + 48 * 60 + 60 * 48 + 48 * 60 + 60 * 5
    ranks = result.sizes.ranks
    layers = {path: result.module.get_submodule(path) for path in ranks}
    assert {path: layer.down.weight.shape[0] for path, layer in layers.items()} == ranks
    steps = [sum(size for size in layer.down.weight.shape[1:]) for layer in layers.values()]
    steps = [s + layer.up.weight.shape[0] for s, layer in zip(steps, layers.values(), strict=True)]
    # 48 and 60 become 57 and 71: every rank of every layer costs 128.
    assert set(steps) == {57 + 71}
    ends = 60 * 57 + 71 * 5
    assert result.match.macs == ends + 128 * sum(ranks.values())
    assert abs(result.match.macs - dense) <= 64
    # The nearest rank of each layer alone leaves the dearer ends unpaid.
    alone = expand(module, "low_rank", 0.3)
    own = sum(alone.get_submodule(path).down.weight.shape[0] for path in ranks)
    assert own > sum(ranks.values())


def test_low_rank_layers_of_different_sizes_mix_to_the_exact_macs():
    torch.manual_seed(0)
    widths = {"hidden0": 40, "hidden1": 45, "hidden2": 51, "hidden3": 58}
    result = transform(
        MLP(8, widths, 4), "low_rank", sparsity=0.4, example_inputs=(torch.zeros(1, 8),)
    )
    assert result.match.relative_error == 0


def test_low_rank_whose_ends_cost_more_than_the_dense_network_is_refused():
    with pytest.raises(UsageError, match=r"rank one everywhere.*choose a lower sparsity"):
        transform(
            MLP(90, {"hidden0": 8, "hidden1": 8}, 90),
            "low_rank",
            sparsity=0.75,
            example_inputs=(torch.zeros(1, 90),),
        )


class Upwards(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.up = nn.Conv2d(1, 8, 3, padding=1), nn.ConvTranspose2d(8, 12, 2, 2)
        self.each = nn.ConvTranspose2d(12, 12, 3, groups=12)
        self.join, self.last = nn.ConvTranspose2d(12, 10, 3, 2), nn.Conv2d(10, 3, 1)

    def forward(self, x):
        x = F.relu(self.each(F.relu(self.up(F.relu(self.first(x))))))
        return self.last(F.relu(self.join(x))).mean((2, 3))


def test_wide_transposed_convolutions_do_exactly_the_macs_that_are_reported():
    inputs = (torch.randn(2, 1, 6, 6),)
    dense = Upwards()
    target = cost_models.trace(dense, inputs).dense_macs
    done = transform(dense, "sparse_wide", sparsity=0.75, example_inputs=inputs)
    assert done.module.up.weight.shape[:2] == (16, 24)
    assert (done.module.up.in_channels, done.module.up.out_channels) == (16, 24)
    assert (done.module.each.groups, done.module.each.in_channels) == (24, 24)
    counted = cost_models.trace(done.module, inputs).effective_macs
    assert counted == done.match.macs
    assert done.match.target_macs == target
    assert abs(counted / target - 1) < 1e-3


def test_no_pattern_fits_a_transposed_convolution():
    module = Upwards()
    names = [layer.name for layer in prunable_layers(module)]
    assert fitting(module, names, NOfM(1, 2)) == ("last.weight",)
    with pytest.raises(UsageError, match="no layer of Upwards falls into whole units"):
        fitting(module, ("up.weight", "join.weight"), NOfM(1, 2))


def test_wide_leaves_frozen_layers_their_values_and_shapes():
    dense = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 3, 1),
    )
    dense[2].weight.requires_grad = False
    request = ExpansionRequest(module=copy.deepcopy(dense), sparsity=0.75)
    declare_traced_groups(request.module, (torch.randn(1, 1, 10, 10),))
    wide = sparse_wide(request).module
    assert torch.equal(wide[2].weight, dense[2].weight)
    assert (wide[0].out_channels, wide[4].in_channels, wide[4].out_channels) == (8, 8, 16)
