import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.sparsity import (
    SPARSITY_DISTRIBUTIONS,
    Batch,
    first_and_last,
    layer_sparsities,
    layer_zero_counts,
    macs_per_weight,
    prunable_layers,
    sparsify,
)
from growsearch.sparsity.sparsify import random_mask

REFERENCE = json.loads(Path(__file__).with_name("reference_erk.json").read_text())


def batch_of(*shape):
    generator = torch.Generator().manual_seed(3)
    return Batch(inputs=torch.randn(*shape, generator=generator), labels=torch.arange(shape[0]) % 3)


@pytest.mark.parametrize("network", REFERENCE)
def test_erk_matches_two_public_implementations(network, from_shapes):
    rows = REFERENCE[network]
    sparsities = layer_sparsities(from_shapes([row[0] for row in rows]), sparsity=0.9)
    for (shape, density, _), sparsity in zip(rows, sparsities.values(), strict=True):
        assert 1 - sparsity == pytest.approx(density, abs=1e-5), shape


def test_the_search_spaces_resnet20_has_the_reference_layers(built):
    rows = REFERENCE["resnet20_cifar10|0.9"]
    model = built("resnet20")
    assert [list(layer.shape) for layer in prunable_layers(model)] == [row[0] for row in rows]
    densities = [1 - s for s in layer_sparsities(model, 0.9, "erk").values()]
    assert densities == pytest.approx([row[1] for row in rows], abs=1e-5)


def test_erk_mac_fraction_of_resnet18_matches_the_reference(from_shapes):
    rows = REFERENCE["resnet18_cifar100|0.9"]
    sparsities = layer_sparsities(from_shapes([row[0] for row in rows]), 0.9)
    macs = [row[2] for row in rows]
    effective = sum(m * (1 - s) for m, s in zip(macs, sparsities.values(), strict=True))
    assert sum(macs) == 555_468_800
    assert effective / sum(macs) == pytest.approx(0.23902, abs=5e-6)


@pytest.mark.parametrize(("sparsity", "fraction"), [(0.5, 0.73721), (0.8, 0.35805), (0.9, 0.17727)])
def test_erk_mac_fractions_of_resnet20_match_the_reference(sparsity, fraction, built):
    model = built("resnet20")
    factors = macs_per_weight(model, (torch.zeros(1, 3, 32, 32),))
    dense = {layer.name: factors[layer.name] * layer.weights for layer in prunable_layers(model)}
    sparsities = layer_sparsities(model, sparsity, "erk")
    effective = sum(macs * (1 - sparsities[name]) for name, macs in dense.items())
    assert effective / sum(dense.values()) == pytest.approx(fraction, abs=5e-6)


def test_erk_plus_equals_erk_where_the_classifier_is_dense_already(built):
    model = built("resnet20")
    assert layer_sparsities(model, 0.9, "erk+") == pytest.approx(layer_sparsities(model, 0.9))


def test_erk_plus_keeps_a_large_classifier_dense_at_the_same_total(from_shapes):
    model = from_shapes([(8, 3, 3, 3), (64, 64, 3, 3), (100, 64)])
    plain, plus = layer_sparsities(model, 0.8), layer_sparsities(model, 0.8, "erk+")
    assert plain["2.weight"] > 0.1
    assert plus["2.weight"] == 0
    assert plus["1.weight"] > plain["1.weight"]


def test_er_and_erk_agree_on_an_mlp_and_by_hand(from_shapes):
    # Proportions (10+20)/200 = .15 and (20+5)/100 = .25: e (200 x .15 + 100 x .25) = 55 e = 30.
    model = from_shapes([(20, 10), (5, 20)])
    by_hand = {"0.weight": 1 - 0.15 * 30 / 55, "1.weight": 1 - 0.25 * 30 / 55}
    assert layer_sparsities(model, 0.9, "er") == pytest.approx(by_hand)
    assert layer_sparsities(model, 0.9, "erk") == pytest.approx(by_hand)


def test_er_leaves_the_kernel_out(from_shapes):
    # Proportions 12/32 for both layers' channels, so both share one density.
    model = from_shapes([(4, 8, 3, 3), (8, 4, 1, 1)])
    assert layer_sparsities(model, 0.5, "er") == pytest.approx({"0.weight": 0.5, "1.weight": 0.5})


def test_uniform_plus_keeps_the_first_convolution_and_a_fifth_of_the_classifier(tiny):
    # 192 weights, 144 to be zero: conv1 keeps 36, fc .2 x 12 = 2.4, so conv2 keeps 9.6 of 144.
    sparsities = layer_sparsities(tiny(), 0.75, "uniform+")
    assert sparsities == pytest.approx(
        {"conv1.weight": 0.0, "conv2.weight": 1 - 9.6 / 144, "fc.weight": 0.8}
    )


def test_excluded_layers_are_dense_and_the_others_pay(built):
    model = built("resnet20")
    ends = first_and_last(model)
    for name in ("uniform", "er", "erk"):
        zeros = layer_zero_counts(model, 0.8, name, ends)
        assert [zeros[end] for end in ends] == [0, 0]
        assert sum(zeros.values()) == round(270_896 * 0.8)


@pytest.mark.parametrize("distribution", SPARSITY_DISTRIBUTIONS)
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.7])
def test_every_distribution_zeroes_exactly_what_was_asked(distribution, sparsity, tiny, generator):
    model = tiny()
    masks = sparsify(
        model,
        sparsity=sparsity,
        distribution=distribution,
        generator=generator,
        batch=batch_of(6, 1, 6, 6),
    )
    zeros = round(192 * sparsity)
    assert masks.zeros == zeros
    assert masks.density == pytest.approx(1 - zeros / 192)
    parameters = dict(model.named_parameters())
    assert sum(int((parameters[name] == 0).sum()) for name in masks) == zeros
    masks.check()


@pytest.mark.parametrize("distribution", SPARSITY_DISTRIBUTIONS)
def test_every_distribution_keeps_excluded_layers_dense_and_unmasked(distribution, tiny, generator):
    model = tiny()
    masks = sparsify(
        model,
        sparsity=0.5,
        distribution=distribution,
        generator=generator,
        exclude=("conv1.weight",),
        batch=batch_of(6, 1, 6, 6),
    )
    assert "conv1.weight" not in masks
    assert (model.conv1.weight != 0).all()
    assert masks.zeros == 96


@settings(max_examples=40, deadline=None)
@given(
    sparsity=st.floats(0.0, 0.9),
    distribution=st.sampled_from(["uniform", "er", "erk"]),
    excluded=st.integers(0, 2),
)
def test_zero_counts_add_up_for_any_sparsity(sparsity, distribution, excluded, built):
    model = built("resnet-digits")
    layers = prunable_layers(model)
    total = sum(layer.weights for layer in layers)
    exclude = tuple(layer.name for layer in layers[:excluded])
    zeros = layer_zero_counts(model, sparsity, distribution, exclude)
    assert sum(zeros.values()) == round(total * sparsity)
    assert all(0 <= zeros[layer.name] < layer.weights for layer in layers)
    sparsities = layer_sparsities(model, sparsity, distribution, exclude)
    # Largest remainders move a layer by less than one weight.
    for layer in layers:
        assert abs(zeros[layer.name] - sparsities[layer.name] * layer.weights) <= 1 + 1e-6


def test_the_same_seed_draws_the_same_masks_and_another_seed_others(tiny):
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return sparsify(tiny(), sparsity=0.5, generator=generator)

    first, again, other = draw(1), draw(1), draw(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distribution": "erdos"}, "unknown 'erdos'; valid: uniform, uniform\\+, er, erk"),
        ({"sparsity": 1.0}, r"outside \[0, 1\)"),
        ({"sparsity": -0.1}, r"outside \[0, 1\)"),
        ({"sparsity": float("nan")}, r"outside \[0, 1\)"),
        ({"exclude": ("conv9.weight",)}, r"'conv9.weight'; valid: conv1\.weight"),
        ({"exclude": "conv1.weight"}, "give a tuple"),
        ({"sparsity": 0.9, "exclude": ("conv2.weight",)}, "lower the sparsity or exclude less"),
        ({"sparsity": 0.99}, "cannot keep 3 layers alive"),
    ],
)
def test_impossible_requests_say_what_is_wrong(arguments, message, tiny):
    with pytest.raises(UsageError, match=message):
        layer_zero_counts(tiny(), **arguments)


@pytest.mark.parametrize("distribution", ["uniform+", "erk+"])
def test_distributions_with_a_dense_classifier_need_one(distribution, from_shapes):
    with pytest.raises(UsageError, match="needs a fully connected layer"):
        layer_sparsities(from_shapes([(4, 3, 3, 3)]), 0.5, distribution)


@pytest.mark.parametrize("zeros", [0, 1, 3, 5, 7, 9, 10])
def test_random_masks_have_exact_counts_and_every_place_alike(zeros):
    generator = torch.Generator().manual_seed(zeros)
    draws = torch.stack([random_mask(torch.Size((2, 5)), zeros, generator) for _ in range(2000)])
    assert (draws.sum(dim=(1, 2)) == 10 - zeros).all()
    shares = 1 - draws.float().mean(dim=0)
    # Four standard deviations of a share of 2,000 draws at most: 0.045.
    assert (shares - zeros / 10).abs().max() < 0.045


def test_random_masks_draw_every_pair_of_places_alike():
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([random_mask(torch.Size((5,)), 2, generator) for _ in range(3000)]).long()
    pairs = torch.zeros(5, 5).index_put_(
        tuple((1 - draws).topk(2, dim=1).indices.sort(dim=1).values.T),
        torch.tensor(1.0),
        accumulate=True,
    )
    found = pairs[tuple(torch.triu_indices(5, 5, offset=1))] / 3000
    # Ten pairs, a tenth each; four standard deviations are 0.022.
    assert (found - 0.1).abs().max() < 0.022
