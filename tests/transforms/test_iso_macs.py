"""The sparsity at equal MACs: reference values, exactness and the limits of whole weights."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import cost_models
from growsearch.errors import UsageError
from growsearch.sparsity import Batch
from growsearch.sparsity.layers import first_and_last, macs_per_weight, prunable_layers
from growsearch.sparsity.sparsify import layer_zero_counts
from growsearch.transforms import MacMatch, MacProfile, expand, match_macs
from growsearch.transforms.iso_macs import solve_zeros, tune_zeros
from search_spaces import SEARCH_SPACES
from search_spaces.families.gpt import GPT


def profile_on_meta(module: nn.Module, inputs) -> MacProfile:
    return MacProfile(
        weights={layer.name: layer.weights for layer in prunable_layers(module)},
        per_weight=macs_per_weight(module, inputs),
        other=0,
    )


@pytest.mark.parametrize(
    ("nominal", "distribution", "reference"),
    [
        (0.5, "uniform", 0.4949966),
        (0.75, "uniform", 0.7508221),
        (0.9, "uniform", 0.9003295),
        (0.5, "erk", 0.8010513),
        (0.75, "erk", 0.8981633),
        (0.9, "erk", 0.9592905),
    ],
)
def test_wide_resnet18_has_the_reference_sparsity(nominal, distribution, reference):
    """CIFAR-100, stem and classifier dense, against a public implementation."""
    space = SEARCH_SPACES["resnet18"].for_data((3, 32, 32), 100)
    with torch.device("meta"):
        inputs = space.example_inputs()
        dense = space.build(space.largest())
        wide = expand(dense, "sparse_wide", nominal)
        profile = profile_on_meta(wide, inputs)
    ends = first_and_last(wide)
    match = solve_zeros(
        profile,
        lambda sparsity: layer_zero_counts(wide, sparsity, distribution, ends),
        target_macs=555_468_800,
        sparse=[name for name in profile.weights if name not in ends],
    )
    assert match.sparsity == pytest.approx(reference, abs=1e-6)
    assert match.macs == 555_468_800
    assert match.within_tolerance


def test_a_profile_counts_what_a_trace_counts():
    space = SEARCH_SPACES["resnet-digits"]
    torch.manual_seed(0)
    module, inputs = space.build(space.largest()), space.example_inputs()
    profile = MacProfile.of(module, inputs)
    assert profile.dense_macs == cost_models.trace(module, inputs).dense_macs
    assert profile.other == 0
    # The stem has 144 weights, each used at 8 x 8 places.
    assert profile.per_weight["stem.conv.weight"] == 64
    assert profile.dense_macs - profile.macs({"stem.conv.weight": 10}) == 640


def test_attention_is_counted_as_macs_without_a_weight():
    torch.manual_seed(0)
    gpt = GPT({"model": 8, "block0": 16}, heads=2, head_size=4, context=5, vocabulary=7)
    profile = MacProfile.of(gpt, (torch.zeros(1, 5, dtype=torch.long),))
    # Q K^T and the product with V: 2 heads x 5 x 5 x 4 each.
    assert profile.other == 2 * (2 * 5 * 5 * 4)


def test_the_dense_networks_own_target_needs_no_zero():
    space = SEARCH_SPACES["mlp-digits"]
    module, inputs = space.build(space.largest()), space.example_inputs()
    match = match_macs(module, inputs, target_macs=84_480)
    assert sum(match.zeros.values()) == 0
    assert match.sparsity == 0
    assert match.relative_error == 0


def test_excluded_layers_are_not_touched_and_the_others_pay():
    module = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
    match = match_macs(module, (torch.zeros(1, 10),), target_macs=150, exclude=("0.weight",))
    assert match.zeros == {"1.weight": 50}
    assert match.sparsity == 0.5


def test_a_function_can_take_the_place_of_a_named_distribution():
    """Say that a method gives the first layer twice the zeros of the second."""
    module = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))

    def zeros_at(sparsity: float) -> dict[str, int]:
        second = round(200 * sparsity / 3)
        return {"0.weight": min(100, 2 * second), "1.weight": second}

    match = match_macs(module, (torch.zeros(1, 10),), target_macs=140, distribution=zeros_at)
    assert match.zeros == {"0.weight": 40, "1.weight": 20}


def test_a_target_between_whole_weights_is_met_as_nearly_as_can_be():
    """One convolution of 16 positions: only multiples of 16 exist."""
    module = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    match = match_macs(module, (torch.zeros(1, 1, 4, 4),), target_macs=17)
    assert match.macs == 16
    assert match.relative_error == pytest.approx(-1 / 17)
    assert not match.within_tolerance
    assert match.summary == (
        "16 MACs, -5.8824% from the 17 of the dense network: the nearest that whole weights allow, "
        "beyond 0.0001%"
    )


def test_what_is_met_is_said_to_be_met():
    module = nn.Sequential(nn.Linear(10, 10))
    match = match_macs(module, (torch.zeros(1, 10),), target_macs=40)
    assert match.summary == "40 MACs, the dense network's to within 0.0001%"
    run = MacMatch(zeros={}, weights=0, macs=1001, target_macs=1000, steps=10)
    assert run.summary.startswith("100 MACs on average, +0.1000% from the 100 of")


@pytest.mark.parametrize("distribution", ["snip", "grasp"])
def test_ratios_of_a_saliency_are_solved_with_its_data(distribution):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 10))
    batch = Batch(inputs=torch.randn(8, 10), labels=torch.arange(8))
    inputs = (torch.zeros(1, 10),)
    match = match_macs(module, inputs, target_macs=100, distribution=distribution, batch=batch)
    assert match.macs == 100
    assert match.zeros == layer_zero_counts(module, 140 / 240, distribution, batch=batch)


def test_a_target_below_the_dense_layers_is_refused():
    module = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
    with pytest.raises(UsageError, match="101 MACs"):
        match_macs(module, (torch.zeros(1, 10),), target_macs=100, exclude=("0.weight",))


def test_single_weights_of_layers_without_a_common_divisor_reach_every_number():
    """1 = 3 x 5 - 2 x 7: three weights of one layer in, two of the other out."""
    profile = MacProfile(weights={"a": 50, "b": 50}, per_weight={"a": 5, "b": 7}, other=0)
    zeros = {"a": 20, "b": 20}
    target = profile.macs(zeros) + 1
    tuned = tune_zeros(profile, zeros, target, ["a", "b"])
    assert profile.macs(tuned) == target
    assert tuned == {"a": 17, "b": 22}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_tuning_never_worsens_and_keeps_every_layer_alive(data):
    count = data.draw(st.integers(1, 3))
    names = [f"layer{i}" for i in range(count)]
    sizes = {n: data.draw(st.integers(1, 30)) for n in names}
    steps = {n: data.draw(st.integers(1, 20)) for n in names}
    zeros = {n: data.draw(st.integers(0, sizes[n] - 1)) for n in names}
    profile = MacProfile(weights=sizes, per_weight=steps, other=data.draw(st.integers(0, 50)))
    target = data.draw(st.integers(1, profile.dense_macs))
    tuned = tune_zeros(profile, zeros, target, names)
    assert abs(profile.macs(tuned) - target) <= abs(profile.macs(zeros) - target)
    assert all(0 <= tuned[n] <= sizes[n] - 1 for n in names)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.2, 0.95), st.sampled_from(["uniform", "erk"]), st.integers(0, 1000))
def test_iso_macs_hold_for_random_perceptrons(share, distribution, seed):
    torch.manual_seed(seed)
    widths = torch.randint(2, 40, (4,)).tolist()
    module = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(widths)))
    dense = sum(a * b for a, b in itertools.pairwise(widths))
    target = max(3, int(dense * share))
    match = match_macs(
        module, (torch.zeros(1, widths[0]),), target_macs=target, distribution=distribution
    )
    # Every weight of a linear layer is one MAC, so whole weights reach every target.
    assert match.macs == target
