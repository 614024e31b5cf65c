"""Planned growth: costs follow the plan, nothing is let go, widths follow what the data say."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.growth import GrowthConfig
from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.growth.policies.planned import PlannedGrowth
from growsearch.growth.policies.policy import GrowthTask
from growsearch.training import Recipe


def task(*, limit, channels=(100, 100), terms=((1, (0, 1)),), epochs=20, **settings):
    """Two layers; a network of (a, b) channels costs a b."""
    names = ("a", "b")
    projection = BudgetProjection(
        structures=Structures(names=names, sizes=channels),
        terms=CostTerms(names=names, terms=terms),
        limit=limit,
    )
    return GrowthTask(
        projection=projection,
        config=GrowthConfig(recipe=Recipe(epochs=epochs), **settings),
        steps_per_epoch=1,
        generator=torch.Generator().manual_seed(0),
    )


def grown(policy, given, gradients=None):
    """Return the live sets from the seed to the end of growing."""
    found = [policy.start()]
    for epoch in range(given.config.growing_epochs):
        if gradients is not None:
            policy.learn(gradients * found[-1])
        last = epoch + 1 == given.config.growing_epochs
        found.append(policy.settle(found[-1]) if last else policy.draw(found[-1]))
        policy.advance(found[-1])
    return found


def test_costs_rise_by_equal_factors_from_the_seed_to_the_budget():
    # 6 of 20 epochs grow, in 3 changes: shares .25, .25 (4^(1/3)), .25 (4^(2/3)), 1.
    given_task = task(limit=6400, seed_share=0.25, steps=3)
    costs = [
        given_task.projection.cost(live) for live in grown(PlannedGrowth(given_task), given_task)
    ]
    # 40 x 40; then every second epoch; 80 x 80. Widths of equal shares: 50^2 <= 2540, 63^2 <= 4032.
    assert costs == [1600, 1600, 2500, 2500, 3969, 3969, 6400]


def test_from_one_channel_a_group_costs_rise_by_equal_shares():
    given_task = task(limit=8100, seed_share=0.0, steps=None)
    costs = [
        given_task.projection.cost(live) for live in grown(PlannedGrowth(given_task), given_task)
    ]
    # A sixth of the limit each: 1350, 2700, 4050, 5400, 6750, 8100, and the squares below.
    assert costs == [1, 36**2, 51**2, 63**2, 73**2, 82**2, 90**2]


@given(
    sizes=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    share=st.floats(0.05, 1.0),
    seed_share=st.floats(0.0, 1.0),
    steps=st.integers(1, 8),
    allocation=st.sampled_from(["uniform", "fisher"]),
    seed=st.integers(0, 99),
)
def test_nothing_that_lives_is_let_go_and_no_step_costs_more_than_its_share(
    sizes, share, seed_share, steps, allocation, seed
):
    full = sizes[0] * sizes[1]
    given_task = task(
        limit=max(1.0, share * full),
        channels=sizes,
        seed_share=seed_share,
        steps=steps,
        allocation=allocation,
    )
    gradients = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(seed))
    lives = grown(PlannedGrowth(given_task), given_task, gradients)
    for before, after in itertools.pairwise(lives):
        assert bool((after | before).equal(after))
    for epoch, live in enumerate(lives):
        bound = given_task.projection.limit_at(given_task.config.plan(epoch))
        assert given_task.projection.cost(live) <= max(bound, 1.0) + 1e-9


def test_fisher_widens_what_is_worth_more_for_its_cost():
    given_task = task(limit=6400, seed_share=0.25, steps=3, allocation="fisher")
    gradients = torch.cat([torch.full((100,), 2.0), torch.full((100,), 1.0)])
    policy = PlannedGrowth(given_task)
    last = grown(policy, given_task, gradients)[-1]
    a, b = given_task.structures.counts(last)
    assert a > 80 > b
    # Equal squares and equal costs: equal widths.
    level = PlannedGrowth(given_task)
    equal = grown(level, given_task, torch.ones(200))[-1]
    assert given_task.structures.counts(equal) == [80, 80]


def test_fisher_divides_by_what_a_channel_costs():
    # A channel of b costs 3 a, one of a costs 3 b + 100: more, at equal squares.
    terms = ((3, (0, 1)), (100, (0,)))
    given_task = task(limit=12_000, terms=terms, seed_share=0.25, steps=3, allocation="fisher")
    a, b = given_task.structures.counts(
        grown(PlannedGrowth(given_task), given_task, torch.ones(200))[-1]
    )
    assert a < b


def test_a_policy_goes_on_from_its_state():
    given_task = task(limit=6400, seed_share=0.25, allocation="fisher")
    generator = torch.Generator().manual_seed(3)
    gradients = torch.randn(200, generator=generator)
    policy, other = PlannedGrowth(given_task), PlannedGrowth(given_task)
    live = policy.start()
    for _ in range(2):
        policy.learn(gradients * live)
        live = policy.draw(live)
        policy.advance(live)
    policy.learn(gradients * live)
    other.load_state({key: value.clone() for key, value in policy.state().items()})
    assert torch.equal(policy.draw(live), other.draw(live))
    assert torch.equal(policy.scores(), other.scores())


def test_what_is_preferred_comes_first():
    given_task = task(limit=2500, seed_share=0.25)
    policy = PlannedGrowth(given_task)
    order = torch.arange(200.0)
    policy.prefer(~given_task.structures.first_of_each(), order)
    live = policy.start().nonzero().flatten().tolist()
    # 25 a group: the first, which stays, and the last ones.
    assert live == [0, *range(76, 100), 100, *range(176, 200)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed_share", -0.1),
        ("seed_share", 1.1),
        ("steps", 0),
        ("allocation", "x"),
        ("pace", "x"),
        ("until", "x"),
    ],
)
def test_settings_out_of_range_are_refused_by_their_name(key, value):
    from growsearch.errors import UsageError

    with pytest.raises(UsageError, match=f"^{key}: "):
        GrowthConfig(**{key: value})
