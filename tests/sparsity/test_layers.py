import copy
import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from growsearch.errors import UsageError
from growsearch.sparsity import (
    Blocks,
    Masks,
    NOfM,
    first_and_last,
    layer_sparsities,
    macs_per_weight,
    masked_sparsity,
    prunable_layers,
    prunable_parameters,
    sparsify,
    sparsify_blocks,
    sparsify_n_of_m,
)
from growsearch.sparsity.layers import frozen_weights
from growsearch.sparsity.maskable import unmaskable_layers


def test_convolutions_and_linear_layers_are_prunable_in_module_order(tiny):
    layers = prunable_layers(tiny())
    assert [(layer.name, layer.weights) for layer in layers] == [
        ("conv1.weight", 36),
        ("conv2.weight", 144),
        ("fc.weight", 12),
    ]
    assert [layer.is_linear for layer in layers] == [False, False, True]


def test_first_and_last_are_named(tiny):
    assert first_and_last(tiny()) == ("conv1.weight", "fc.weight")


def test_resnet20_has_the_published_weights_and_macs(built):
    model = built("resnet20")
    factors = macs_per_weight(model, (torch.zeros(1, 3, 32, 32),))
    layers = prunable_layers(model)
    assert sum(layer.weights for layer in layers) == 270_896
    assert sum(factors[layer.name] * layer.weights for layer in layers) == 40_813_184


def test_a_shared_weight_counts_once_and_its_macs_twice():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert list(prunable_parameters(model)) == ["0.weight"]
    assert macs_per_weight(model, (torch.zeros(1, 4),)) == {"0.weight": 2}


def test_macs_per_weight_counts_output_positions_for_one_example(tiny):
    factors = macs_per_weight(tiny(), (torch.zeros(2, 1, 6, 6),))
    assert factors == {"conv1.weight": 36, "conv2.weight": 9, "fc.weight": 1}


def test_macs_per_weight_of_grouped_transposed_and_sequence_layers():
    assert macs_per_weight(nn.Conv2d(4, 4, 3, groups=4), (torch.zeros(1, 4, 5, 5),)) == {
        "weight": 9
    }
    assert macs_per_weight(nn.ConvTranspose2d(2, 3, 2, stride=2), (torch.zeros(1, 2, 4, 4),)) == {
        "weight": 16
    }
    assert macs_per_weight(nn.Linear(8, 4), (torch.zeros(3, 7, 8),)) == {"weight": 7}


def test_counting_leaves_mode_and_batch_norm_alone(tiny):
    model = tiny()
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    macs_per_weight(model, (torch.ones(1, 1, 6, 6),))
    assert model.training
    assert not model.norm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_module_without_prunable_layers_is_refused():
    with pytest.raises(UsageError, match="no convolution and no linear layer"):
        prunable_layers(nn.BatchNorm2d(3))


def test_masked_sparsity_pays_for_excluded_layers(tiny):
    # 192 weights, half of them zero: 96 zeros among the 156 weights outside conv1.
    assert masked_sparsity(tiny(), 0.5, ("conv1.weight",)) == pytest.approx(96 / 156)
    with pytest.raises(UsageError, match="excluded layers"):
        masked_sparsity(tiny(), 0.9, ("conv2.weight",))


def test_what_a_layer_puts_out_and_takes_in_is_read_off_its_own_layout():
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2),
        nn.ConvTranspose2d(6, 8, 3, groups=2),
        nn.ConvTranspose2d(8, 8, 3, groups=8),
        nn.ConvTranspose1d(8, 3, 2),
        nn.Linear(3, 5),
    )
    layers = prunable_layers(model)
    assert [layer.shape for layer in layers[1:4]] == [(6, 4, 3, 3), (8, 1, 3, 3), (8, 3, 2)]
    assert [layer.fans for layer in layers] == [(6, 2), (8, 3), (8, 1), (3, 8), (5, 3)]


def test_densities_of_a_transposed_convolution_are_those_of_its_mirror_image():
    plain = nn.Sequential(nn.Conv2d(8, 4, 3, groups=2), nn.Linear(9, 9))
    turned = nn.Sequential(nn.ConvTranspose2d(8, 4, 3, groups=2), nn.Linear(9, 9))
    for distribution in ("er", "erk", "uniform"):
        assert layer_sparsities(plain, 0.6, distribution) == layer_sparsities(
            turned, 0.6, distribution
        )


def test_patterns_along_inputs_are_refused_for_a_transposed_convolution(generator):
    model = nn.Sequential(nn.ConvTranspose2d(4, 8, 2), nn.Conv2d(8, 4, 2))
    for mask, pattern in ((sparsify_n_of_m, NOfM(2, 4)), (sparsify_blocks, Blocks(2, 2))):
        more = {} if mask is sparsify_n_of_m else {"sparsity": 0.5}
        with pytest.raises(UsageError, match=r"0.weight: patterns lie along what makes one output"):
            mask(copy.deepcopy(model), pattern, generator=generator, **more)
        masks = mask(
            copy.deepcopy(model),
            pattern,
            generator=generator,
            exclude=("0.weight",),
            **(more and {"sparsity": 0.25}),
        )
        assert tuple(masks) == ("1.weight",)


@pytest.mark.parametrize(
    ("reparametrise", "remedy"),
    [
        (parametrizations.weight_norm, "parametrize.remove_parametrizations"),
        (parametrizations.spectral_norm, "parametrize.remove_parametrizations"),
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), r"prune\.remove"),
    ],
)
def test_a_reparametrised_weight_stays_dense_and_is_named(reparametrise, remedy, generator):
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(reparametrise(nn.Linear(4, 4))))
    named = re.compile(rf"^1\.0\.weight is re-parametrised by .*{remedy}")
    (reason,) = unmaskable_layers(network).values()
    assert named.search(reason)
    assert list(prunable_parameters(network)) == ["0.weight"]
    assert sparsify(network, sparsity=0.5, generator=generator).nonzeros() == {"0.weight": 8}
    # Where nothing else is left the whole is refused, by the same reason.
    alone = nn.Sequential(network[1])
    with pytest.raises(UsageError, match=r"^0\.0\.weight is re-parametrised by"):
        sparsify(alone, sparsity=0.5, generator=generator)


def test_a_reparametrised_bias_or_norm_is_no_hindrance(generator):
    norm = parametrizations.weight_norm(nn.BatchNorm1d(4), dim=None)
    layer = prune.l1_unstructured(nn.Linear(4, 4), "bias", 0.5)
    network = nn.Sequential(layer, norm)
    assert sparsify(network, sparsity=0.5, generator=generator).zeros == 8


def test_a_lazy_weight_is_refused_by_name():
    with pytest.raises(UsageError, match=r"^1\.weight has no shape yet"):
        prunable_layers(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3)))


def test_a_weight_that_is_a_buffer_is_left_alone(generator):
    fixed = nn.Conv2d(1, 1, 3, bias=False)
    del fixed.weight
    fixed.register_buffer("weight", torch.ones(1, 1, 3, 3))
    network = nn.Sequential(fixed, nn.Flatten(), nn.Linear(4, 2))
    sparsify(network, sparsity=0.5, generator=generator)
    assert bool((fixed.weight == 1).all())
    assert macs_per_weight(network, (torch.zeros(1, 1, 4, 4),)) == {"2.weight": 1}


def test_frozen_weights_are_named(tiny):
    model = tiny()
    model.conv2.requires_grad_(False)
    assert frozen_weights(model) == ("conv2.weight",)


def tied() -> nn.Sequential:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    shared = nn.Linear(4, 4)
    return nn.Sequential(first, second, shared, nn.Sequential(shared))


def test_a_tied_weight_is_masked_and_counted_once(generator):
    network = tied()
    masks = sparsify(network, sparsity=0.5, distribution="uniform", generator=generator)
    assert masks.names == ("0.weight", "2.weight")
    assert (masks.weights, masks.zeros) == (32, 16)
    assert int(torch.count_nonzero(network[1].weight)) == 8
    assert macs_per_weight(network, (torch.zeros(1, 4),)) == {"0.weight": 2, "2.weight": 2}
    assert Masks.of(network).names == masks.names
    masks.detach()
    assert not any("mask" in name for name in network.state_dict())
