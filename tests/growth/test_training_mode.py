"""Networks that go another way where they train run in both modes, grown, pruned or transformed."""

import mode_networks
import pytest
import torch

import cost_models
from growsearch.growth import Budget, GrowthConfig, build_full, grow, uniform_architecture
from growsearch.pruning import PruneConfig, prune
from growsearch.training import Recipe
from growsearch.transforms import transform
from search_spaces import search_space

SHAPE, CLASSES = (1, 6, 6), 3
RECIPE = Recipe(epochs=2, batch_size=32)
KEPT = {"EvaluationOnly": {"a.0", "b.0"}, "TrainingOnly": {"a.0"}}


def runs_in_both_modes(module) -> bool:
    x = torch.randn(4, *SHAPE)
    return all(module.train(mode)(x).shape == (4, CLASSES) for mode in (True, False))


@pytest.fixture(params=KEPT)
def space(request):
    return search_space(f"mode_networks:{request.param}").for_data(SHAPE, CLASSES)


def kept_of(space):
    return KEPT[next(name for name in KEPT if name in space.name)]


def test_it_grows_around_what_one_mode_alone_uses(space, dataset):
    result = grow(space, dataset, budget=Budget(macs=0.7), config=GrowthConfig(recipe=RECIPE))
    assert runs_in_both_modes(result.model)
    assert result.macs == cost_models.trace(result.model, space.example_inputs()).dense_macs
    assert result.macs <= result.limit
    assert dict(result.kept).keys() == kept_of(space)
    assert runs_in_both_modes(space.build(result.architecture))


def test_it_is_pruned_around_what_one_mode_alone_uses(space, dataset):
    network = getattr(mode_networks, next(name for name in KEPT if name in space.name))()
    result = prune(network, dataset, budget=Budget(macs=0.7), config=PruneConfig(recipe=RECIPE))
    assert runs_in_both_modes(result.model)
    assert dict(result.kept).keys() == kept_of(space)
    assert result.model.c[0].out_channels < 12


def test_sparse_wide_and_uniform_widths_run_in_both_modes(space):
    wide = transform(
        build_full(space, 0), "sparse_wide", sparsity=0.75, example_inputs=space.example_inputs()
    )
    assert runs_in_both_modes(wide.module)
    narrow = space.build(uniform_architecture(space, Budget(macs=0.7)))
    assert runs_in_both_modes(narrow)
    assert narrow.c[0].out_channels < 12
