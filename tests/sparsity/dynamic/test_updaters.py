import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import GrowsearchError, UsageError
from growsearch.sparsity import MASK_UPDATERS, Connections, CubicSchedule, make_updater

SCHEDULED = ("granet", "gmp")


def build(name, final=0.8):
    schedule = CubicSchedule(final=final) if name in SCHEDULED else None
    return make_updater(name, schedule=schedule)


def layer(weight, gradient, mask):
    active = torch.tensor(mask, dtype=torch.bool)
    return Connections(
        weight=torch.tensor(weight) * active, gradient=torch.tensor(gradient), mask=active
    )


def drawn_layers(seed=0, density=0.5):
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for name, shape in {"a": (6, 5), "b": (4, 3, 3, 3), "c": (2, 2)}.items():
        weight, gradient = torch.randn(2, *shape, generator=generator)
        mask = torch.rand(shape, generator=generator) < density
        layers[name] = Connections(weight=weight * mask, gradient=gradient, mask=mask)
    return layers


@pytest.mark.parametrize("name", MASK_UPDATERS)
@pytest.mark.parametrize("progress", [0.0, 0.2, 0.9])
def test_an_updater_returns_bool_masks_and_changes_no_input(name, progress):
    layers = drawn_layers()
    copies = {
        key: (value.weight.clone(), value.gradient.clone(), value.mask.clone())
        for key, value in layers.items()
    }
    masks = build(name).update(layers, progress, torch.Generator().manual_seed(0))
    assert masks.keys() == layers.keys()
    for key, mask in masks.items():
        assert mask.dtype == torch.bool
        assert mask.shape == layers[key].mask.shape
        for now, before in zip(dataclasses.astuple(layers[key]), copies[key], strict=True):
            assert torch.equal(now, before)
        assert mask.data_ptr() != layers[key].mask.data_ptr()


@pytest.mark.parametrize("name", [name for name in MASK_UPDATERS if name not in SCHEDULED])
@settings(max_examples=20, deadline=None)
@given(progress=st.floats(0, 1), seed=st.integers(0, 99), density=st.floats(0, 1))
def test_an_updater_without_a_schedule_keeps_each_layers_count(name, progress, seed, density):
    layers = drawn_layers(seed, density)
    masks = build(name).update(layers, progress, torch.Generator().manual_seed(seed))
    for key, value in layers.items():
        assert int(masks[key].sum()) == int(value.mask.sum())


@pytest.mark.parametrize("name", SCHEDULED)
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_a_scheduled_updater_meets_its_schedule_to_the_weight(name, progress):
    layers = drawn_layers(density=1.1)
    masks = build(name).update(layers, progress, torch.Generator().manual_seed(0))
    weights = sum(mask.numel() for mask in masks.values())
    zeros = weights - sum(int(mask.sum()) for mask in masks.values())
    assert zeros == round(weights * CubicSchedule(final=0.8).sparsity_at(progress))


@pytest.mark.parametrize("name", MASK_UPDATERS)
def test_the_same_seed_gives_the_same_masks(name):
    first, second = (
        build(name).update(drawn_layers(), 0.1, torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_rigl_grows_where_the_gradient_is_largest():
    layers = {
        "a": layer([[3.0, 1.0, 2.0, 9.9, 9.9, 9.9]], [[0.0, 0, 0, 1, -5, 2]], [[1, 1, 1, 0, 0, 0]])
    }
    masks = make_updater("rigl", alpha=0.4).update(layers, 0.0, torch.Generator())
    assert masks["a"].tolist() == [[True, False, True, False, True, False]]


def test_set_grows_at_random_whatever_the_gradient():
    grown = set()
    for seed in range(30):
        layers = {
            "a": layer([[3.0, 1.0, 2.0, 0, 0, 0]], [[0.0, 0, 0, 0, 9, 0]], [[1, 1, 1, 0, 0, 0]])
        }
        generator = torch.Generator().manual_seed(seed)
        masks = make_updater("set", alpha=0.4).update(layers, 0.0, generator)
        assert masks["a"][0, [0, 2]].all()
        grown.add(int(masks["a"][0].float().mul(torch.tensor([0, 1, 0, 1, 1, 1])).argmax()))
    assert grown == {1, 3, 4, 5}


def test_set_needs_no_gradient_and_rigl_says_so():
    layers = {"a": dataclasses.replace(drawn_layers()["a"], gradient=None)}
    make_updater("set").update(layers, 0.0, torch.Generator())
    with pytest.raises(GrowsearchError, match="no gradient"):
        make_updater("rigl").update(layers, 0.0, torch.Generator())


def test_gmp_prunes_the_smallest_weights_of_all_layers_together():
    layers = {
        "small": layer([[0.1, 0.2, 5.0, 0.3]], [[0.0] * 4], [[1, 1, 1, 1]]),
        "large": layer([[4.0, 3.0, 6.0, 0.05]], [[0.0] * 4], [[1, 1, 1, 1]]),
    }
    updater = make_updater("gmp", schedule=CubicSchedule(final=0.5, end=0.5))
    masks = updater.update(layers, 0.5, torch.Generator())
    assert masks["small"].tolist() == [[False, False, True, False]]
    assert masks["large"].tolist() == [[True, True, True, False]]


def test_gmp_never_brings_a_weight_back():
    layers = drawn_layers(density=0.1)
    updater = make_updater("gmp", schedule=CubicSchedule(final=0.5))
    masks = updater.update(layers, 0.0, torch.Generator())
    assert all(torch.equal(masks[key], layers[key].mask) for key in layers)


def test_granet_prunes_globally_then_regrows_in_the_layer_by_gradient():
    # 12 weights to 50 %: 6 stay, the two 0.1 and 0.2 of each layer and others go; then a half
    # of each layer's 3 goes (rate .5 at the start: int(1.5) = 1), regrown by gradient.
    layers = {
        "a": layer([[1.0, 2, 3, 0.1, 0.2, 0.3]], [[0.0, 0, 0, 0, 7, 1]], [[1] * 6]),
        "b": layer([[4.0, 5, 6, 0.1, 0.2, 0.3]], [[0.0, 0, 0, 3, 1, 1]], [[1] * 6]),
    }
    updater = make_updater("granet", schedule=CubicSchedule(final=0.5, initial=0.5))
    masks = updater.update(layers, 0.0, torch.Generator())
    assert masks["a"].tolist() == [[False, True, True, False, True, False]]
    assert masks["b"].tolist() == [[False, True, True, True, False, False]]


def test_granets_rate_falls_to_half_a_percent_at_the_end():
    # 300 active weights: int(300 x .005) = 1 is swapped at the end of training, 150 at its start.
    mask = torch.zeros(600, dtype=torch.bool)
    mask[:300] = True
    weight = torch.arange(1.0, 601.0) * mask
    layers = {"a": Connections(weight=weight, gradient=torch.arange(600.0), mask=mask)}
    updater = make_updater("granet", schedule=CubicSchedule(final=0.5, initial=0.5))
    at_end = updater.update(layers, 1.0, torch.Generator())["a"]
    at_start = updater.update(layers, 0.0, torch.Generator())["a"]
    assert int((at_end & ~mask).sum()) == 1
    assert int((at_start & ~mask).sum()) == 150


@pytest.mark.parametrize(
    ("name", "until"),
    [("static", 0.0), ("set", 0.75), ("rigl", 0.75), ("granet", 1.0), ("gmp", 1.0)],
)
def test_masks_change_for_as_long_as_the_method_says(name, until):
    assert build(name).until == until


def test_the_cubic_schedule_by_hand():
    schedule = CubicSchedule(initial=0.2, final=1 - 0.2, begin=0.1, end=0.5)
    assert schedule.sparsity_at(0.0) == pytest.approx(0.2)
    assert schedule.sparsity_at(0.3) == pytest.approx(0.8 - 0.6 / 8)
    assert schedule.sparsity_at(0.5) == pytest.approx(0.8)
    assert schedule.sparsity_at(1.0) == pytest.approx(0.8)


@pytest.mark.parametrize("until", [0.05, 0.3, 0.5, 1.0])
def test_the_schedules_mean_is_its_integral(until):
    schedule = CubicSchedule(initial=0.2, final=0.8, begin=0.1, end=0.5)
    points = 20_000
    total = math.fsum(schedule.sparsity_at(until * (i + 0.5) / points) for i in range(points))
    assert schedule.mean_sparsity(until) == pytest.approx(total / points, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("riggl", {}, "unknown 'riggl'; valid: static, set, rigl, granet, gmp"),
        ("static", {"alpha": 0.3}, "static has no option alpha"),
        ("rigl", {"schedule": CubicSchedule(final=0.5)}, "rigl has no option schedule"),
        ("granet", {}, "granet needs schedule"),
        ("gmp", {"schedule": CubicSchedule(final=0.5), "until": 0.5}, "gmp has no option until"),
        ("rigl", {"alpha": 1.5}, "alpha: 1.5 is outside"),
        ("set", {"until": 0.0}, "until: 0.0 is outside"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        make_updater(name, **options)


@pytest.mark.parametrize(
    "values",
    [{"final": 1.0}, {"final": 0.2, "initial": 0.5}, {"final": 0.5, "begin": 0.6}],
)
def test_impossible_schedules_are_refused(values):
    with pytest.raises(UsageError, match="schedule: need"):
        CubicSchedule(**values)
