"""Plans of fronts: how wide a trunk is at each budget, and how long it stays there."""

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.growth import Budget, FrontConfig, build_full, uniform_architecture
from growsearch.growth.costs import Costs
from growsearch.growth.front.plan import nested_widths, plan_front
from growsearch.training import Recipe
from search_spaces import search_space

SPACE = search_space("resnet-digits")
MODEL = build_full(SPACE, 0)
CONFIG = FrontConfig(recipe=Recipe(epochs=16))


def _plan(*values, metric="macs", config=CONFIG):
    return plan_front(SPACE, MODEL, [Budget(**{metric: value}) for value in values], config)


PROJECTIONS = {
    metric: Costs.of(SPACE, MODEL, Budget(**{metric: 1.0}), grow_layers=False).projection
    for metric in ("macs", "parameters")
}


@settings(max_examples=15, deadline=None)
@given(
    shares=st.lists(st.integers(3, 100), min_size=2, max_size=4, unique=True).map(sorted),
    metric=st.sampled_from(sorted(PROJECTIONS)),
    multiple=st.sampled_from([1, 4]),
)
def test_each_network_is_within_its_budget_and_within_the_next_network(shares, metric, multiple):
    full = PROJECTIONS[metric]
    limits = [dataclasses.replace(full, limit=full.limit * s // 100) for s in shares]
    found = nested_widths(limits, multiple)
    for live, projection in zip(found, limits, strict=True):
        assert projection.cost(live) <= projection.limit
        if multiple == 1:
            assert torch.equal(projection.fill(live, torch.zeros(len(live))), live)
    for small, large in itertools.pairwise(found):
        assert not (small & ~large).any()


def test_widths_are_those_of_uniform_networks_give_or_take_a_channel():
    for stage, share in zip(_plan(0.1, 0.2, 0.4, 0.8), (0.1, 0.2, 0.4, 0.8), strict=True):
        alone = dict(uniform_architecture(SPACE, Budget(macs=share)).choices)
        ours = stage.costs.structures.widths(stage.live)
        for name, width in alone.items():
            assert 0 <= ours[name] - width <= 3, (share, name)


def test_lengths_follow_the_epochs_of_one_budget_alone_unless_they_are_named():
    stages = _plan(0.1, 0.4)
    assert [stage.epochs for stage in stages] == list(CONFIG.stages((0.1, 0.4)))
    named = FrontConfig(recipe=Recipe(epochs=16), stage_epochs=(5, 3), decline_epochs=2)
    found = _plan(0.1, 0.4, config=named)
    assert [(s.before, s.epochs, s.decline) for s in found] == [(0, 5, 2), (5, 3, 2)]
    each = FrontConfig(recipe=Recipe(epochs=16), stage_epochs=(5, 3), decline_epochs=(2, 4))
    assert [s.decline for s in _plan(0.1, 0.4, config=each)] == [2, 4]


@pytest.mark.parametrize("epochs", [2, 3, 7, 16, 100])
@pytest.mark.parametrize("bounds", [(1, 2), (0.1, 0.11, 0.12), tuple(range(1, 11)), (1, 1e6)])
def test_no_part_of_a_front_is_without_an_epoch(epochs, bounds):
    config = FrontConfig(recipe=Recipe(epochs=epochs))
    assert len(config.stages(bounds)) == len(config.declines(len(bounds))) == len(bounds)
    assert min(*config.stages(bounds), *config.declines(len(bounds))) >= 1


@pytest.mark.parametrize("bounds", [(1, 2, 4, 8), (7, 15, 26, 40), tuple(range(1, 11))])
def test_the_path_to_every_branch_costs_as_many_epochs_of_its_network(bounds):
    config = FrontConfig(recipe=Recipe(epochs=1600))
    spent = 0
    for bound, stage, decline in zip(
        bounds, config.stages(bounds), config.declines(len(bounds)), strict=True
    ):
        spent += stage * bound
        assert spent / bound + decline == pytest.approx(1400, abs=10)


def test_the_trunk_keeps_its_peak_rate_and_branches_come_down_to_zero():
    config = FrontConfig(recipe=Recipe(epochs=16, learning_rate=0.2, warmup_epochs=2))
    first, later = config.stage_recipe(0, 8), config.stage_recipe(1, 4)
    assert first.learning_rate_at(0.0) == pytest.approx(0.02)
    assert [first.learning_rate_at(p) for p in (0.25, 0.9)] == [0.2, 0.2]
    assert [later.learning_rate_at(p) for p in (0.0, 0.9)] == [0.2, 0.2]
    decline = config.decline_recipe(4)
    assert [decline.learning_rate_at(p) for p in (0.0, 0.5, 1.0)] == [0.2, 0.1, 0.0]


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ([Budget(macs=0.4)], "two or more"),
        ([], "two or more"),
        ([Budget(macs=0.2), Budget(parameters=0.4)], "all of parameters or all of macs"),
        (
            [Budget(latency=s, device="wafer-cs2") for s in (0.4, 0.8)],
            "for a latency, or for one budget alone",
        ),
        ([Budget(macs=0.4), Budget(macs=0.2)], "0.2 is not above 0.4"),
        ([Budget(macs=0.4), Budget(macs=0.4)], "0.4 is not above 0.4"),
        ([Budget(macs=0.4), Budget(macs=0.4001)], "0.4001 has the network of 0.4: not one channel"),
        ([Budget(macs=10), Budget(macs=0.4)], "is below the smallest network"),
    ],
)
def test_budgets_that_are_none_of_a_trunk_are_refused(budgets, message):
    with pytest.raises(UsageError, match=message):
        plan_front(SPACE, MODEL, budgets, CONFIG)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage_epochs": (4, 0)}, "stage_epochs: 0 is no whole number above 0"),
        ({"decline_epochs": True}, "decline_epochs: True is no whole number"),
        ({"decline_epochs": 1.5}, "decline_epochs: 1.5 is no whole number"),
        ({"recipe": Recipe(epochs=4, ema=0.9)}, "ema"),
        ({"width_multiple": 0}, "width_multiple"),
        ({"norms": "transfer"}, "in a trunk take reset or kept"),
        ({"norms": "large"}, "norms: unknown 'large'"),
    ],
)
def test_settings_of_no_front_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        FrontConfig(**settings)


@pytest.mark.parametrize("key", ["stage_epochs", "decline_epochs"])
def test_lists_have_one_number_a_budget(key):
    with pytest.raises(UsageError, match=f"{key}: has 3 of 2 numbers; give one a budget"):
        _plan(0.1, 0.4, config=FrontConfig(**{key: (1, 2, 3)}))
