import numpy as np
import pytest
import torch

from growsearch.growth import build_full
from growsearch.growth.budget.cost_terms import CostTerms, mac_terms
from growsearch.growth.latency.features import Feature, latency_features
from growsearch.growth.latency.fit import LatencyTerms, fit_latency
from search_spaces import channel_groups
from search_spaces.families.mobilenet_v2 import MobileNetV2Space


def _amounts(space):
    module = build_full(space, seed=0)
    groups = channel_groups(module)
    features = latency_features(module, groups, space.example_inputs())
    return module, groups, {feature.name: feature.terms for feature in features}


def test_the_features_of_an_mlp_are_as_counted_by_hand(mlp_space):
    # 36 inputs, 16 and 12 hidden units, 3 classes.
    _, _, terms = _amounts(mlp_space)
    sizes = [16, 12]
    assert terms["dense MACs at 1 positions"].exact(sizes) == 36 * 16 + 16 * 12 + 12 * 3
    assert terms["values put out"].exact(sizes) == 16 + 12 + 3
    assert terms["layers"].exact(sizes) == 3
    assert terms["layers"].exact([1, 1]) == 3


def test_macs_are_split_by_resolution_and_add_up(space):
    module, groups, terms = _amounts(space)
    sizes = [3, 2, 5, 7]
    compute = [t.exact(sizes) for name, t in terms.items() if "MACs" in name]
    assert len(compute) == 3
    assert sum(compute) == mac_terms(module, groups, space.example_inputs()).exact(sizes)


def test_depthwise_layers_have_a_feature_of_their_own():
    space = MobileNetV2Space(
        name="tiny", description="for tests", strides=(1,) * 8, input_shape=(3, 4, 4)
    )
    _, _, terms = _amounts(space)
    assert "depthwise MACs at 16 positions" in terms
    assert "dense MACs at 16 positions" in terms


def _features():
    names = ("a", "b")
    products = CostTerms(names=names, terms=((3, (0, 1)), (2, (0,))))
    squares = CostTerms(names=names, terms=((1, (1, 1)),))
    constant = CostTerms(names=names, terms=((4, ()),))
    return [
        Feature(name="products", terms=products),
        Feature(name="squares", terms=squares),
        Feature(name="constant", terms=constant),
    ]


SIZES = [(1, 1), (8, 2), (3, 9), (16, 16), (5, 4), (12, 1), (2, 14)]


def test_exact_times_are_fitted_exactly():
    seconds = [2e-6 * (3 * a * b + 2 * a) + 5e-7 * b * b + 1e-5 * 4 for a, b in SIZES]
    fit = fit_latency(_features(), SIZES, seconds)
    assert fit.error == pytest.approx(0, abs=1e-9)
    assert fit.seconds_by_feature["products"] == pytest.approx(2e-6)
    assert fit.seconds_by_feature["squares"] == pytest.approx(5e-7)
    assert fit.terms.seconds((7, 7)) == pytest.approx(2e-6 * 161 + 5e-7 * 49 + 4e-5)


def test_no_work_has_a_negative_time_and_the_error_is_that_of_held_out_networks():
    # Larger b makes these networks faster, which no amount of work can.
    seconds = [1e-6 * (3 * a * b + 2 * a) + 1e-4 - 1e-6 * b for a, b in SIZES]
    fit = fit_latency(_features(), SIZES, seconds)
    assert min(fit.seconds_by_feature.values()) >= 0
    assert fit.seconds_by_feature["squares"] == 0
    assert 0.001 < fit.error < 0.1


def test_seconds_and_marginals_by_hand():
    terms = LatencyTerms(names=("a", "b"), terms=((0.5, (0, 1)), (2.0, (1, 1)), (7.0, ())))
    assert terms.seconds((3, 4)) == 0.5 * 12 + 2 * 16 + 7
    assert np.allclose(terms.marginals((3, 4)), [0.5 * 4, 0.5 * 3 + 2 * 2 * 4])


def test_marginals_are_the_slopes_of_the_seconds(space):
    _, groups, found = _amounts(space)
    all_terms = tuple((1e-9 * c, g) for t in found.values() for c, g in t.terms)
    terms = LatencyTerms(names=tuple(g.name for g in groups), terms=all_terms)
    sizes = torch.tensor([2.0, 3.0, 5.0, 4.0], dtype=torch.float64)
    for place, slope in enumerate(terms.marginals(sizes.tolist())):
        step = torch.zeros_like(sizes)
        step[place] = 1e-4
        rise = terms.seconds((sizes + step).tolist()) - terms.seconds((sizes - step).tolist())
        assert slope == pytest.approx(rise / 2e-4, rel=1e-6)
