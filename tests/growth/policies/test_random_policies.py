import pytest
import torch

from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.growth.config import GrowthConfig
from growsearch.growth.policies.policy import GrowthTask
from growsearch.growth.policies.random_indicators import RandomIndicators, affordable_share
from growsearch.growth.policies.random_order import RandomOrder
from growsearch.training import Recipe


def task(*, limit, channels=(100, 100), epochs=8, seed=0):
    """Two layers; a network of (a, b) channels costs a b."""
    names = ("a", "b")
    projection = BudgetProjection(
        structures=Structures(names=names, sizes=channels),
        terms=CostTerms(names=names, terms=((1, (0, 1)),)),
        limit=limit,
    )
    return GrowthTask(
        projection=projection,
        config=GrowthConfig.paper(recipe=Recipe(epochs=epochs)),
        steps_per_epoch=1,
        generator=torch.Generator().manual_seed(seed),
    )


def test_the_affordable_share_spends_the_budget_on_average():
    # (p 100)^2 = 2500 at p = 1/2.
    assert affordable_share(task(limit=2500)) == pytest.approx(0.5)
    assert affordable_share(task(limit=10_000)) == 1.0


def test_random_indicators_draw_afresh_around_the_budget():
    policy = RandomIndicators(task(limit=2500))
    first, second = policy.draw(torch.zeros(200)), policy.draw(torch.zeros(200))
    assert 70 < int(first.sum()) < 130
    assert not torch.equal(first, second)
    assert torch.equal(policy.gates(), torch.ones(200))


def test_random_order_adds_an_equal_share_an_epoch_and_never_takes_back():
    given = task(limit=2500)
    policy = RandomOrder(given)
    live = given.structures.first_of_each()
    costs = []
    for _ in range(4):
        wider = policy.draw(live)
        assert (wider | live).equal(wider)
        policy.advance(wider)
        costs.append(given.projection.cost(wider))
        live = wider
    # 4 of 8 epochs grow: 625, 1250, 1875 and 2500, less what one channel (up to 100) leaves over.
    for cost, bound in zip(costs, (625, 1250, 1875, 2500), strict=True):
        assert bound - 100 < cost <= bound
    assert torch.equal(policy.settle(live), live)


def test_random_order_takes_channels_from_its_highest_score_down():
    given = task(limit=2500)
    policy = RandomOrder(given)
    drawn = policy.draw(torch.zeros(200, dtype=torch.bool) | given.structures.first_of_each())
    added = drawn & ~given.structures.first_of_each()
    best = int(policy.scores().masked_fill(given.structures.first_of_each(), -1).argmax())
    assert added[best]
