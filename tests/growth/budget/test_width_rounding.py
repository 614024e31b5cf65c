import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.growth import POLICIES, Budget, GrowthConfig, grow
from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.growth.budget.width_rounding import round_widths
from growsearch.training import Recipe

# Two groups of 6 and 5 channels; a network of (a, b) channels costs 10 a + b.
STRUCTURES = Structures(names=("a", "b"), sizes=(6, 5))
TERMS = CostTerms(names=("a", "b"), terms=((10, (0,)), (1, (1,))))
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.9, 0.8, 0.7, 0.1, 0.2])


def projection(limit):
    return BudgetProjection(structures=STRUCTURES, terms=TERMS, limit=limit)


def mask(text):
    return torch.tensor([digit == "1" for digit in text.replace(" ", "")])


def test_groups_are_rounded_to_the_nearest_multiple_and_best_channels_fill_them_up():
    # 3 of 6 become 4 (3 is half way), 1 of 5 becomes the least, 2.
    found = round_widths(projection(99), mask("101010 00010"), SCORES, 2, fill=False)
    # Live ones stay, then the highest score comes in: channel 1 (.8), and channel 6 (.9).
    assert torch.equal(found, mask("111010 10010"))


def test_a_group_may_have_all_its_channels_where_they_are_no_multiple():
    found = round_widths(projection(99), mask("111111 11111"), SCORES, 4, fill=False)
    assert torch.equal(found, mask("111111 11111"))


def test_over_the_limit_the_block_of_lowest_mean_score_goes():
    # 60 + 5 is over 62. Blocks at the ends: (.5, .4) of a, (.2) or (.1) alone of b: b's goes.
    found = round_widths(projection(64), mask("111111 11111"), SCORES, 2, fill=False)
    assert torch.equal(found, mask("111111 11101"))


def test_what_is_left_of_the_limit_is_filled_with_the_best_blocks_that_fit():
    # From 20 + 2: a's next block (.7, .6) has the highest mean but costs 20, b's (.7, .2) costs 2.
    found = round_widths(projection(24), mask("110000 11000"), SCORES, 2, fill=True)
    assert torch.equal(found, mask("110000 11101"))


def test_a_limit_below_one_block_a_group_leaves_the_network_as_it_is():
    live = mask("100000 10000")
    assert torch.equal(round_widths(projection(12), live, SCORES, 2, fill=True), live)


@given(
    st.lists(st.booleans(), min_size=11, max_size=11).map(torch.tensor),
    st.lists(st.floats(0, 1), min_size=11, max_size=11).map(torch.tensor),
    st.integers(2, 6),
    st.integers(66, 99),
    st.booleans(),
)
def test_every_result_has_whole_multiples_within_the_limit(live, scores, multiple, limit, fill):
    allowed = projection(limit)
    live = allowed.cap(live, scores)
    found = round_widths(allowed, live, scores, multiple, fill=fill)
    assert allowed.cost(found) <= limit
    for count, size in zip(STRUCTURES.counts(found), STRUCTURES.sizes, strict=True):
        assert count == size or count % multiple == 0


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_growth_keeps_multiples_from_its_first_change_on_and_its_budget(policy, space, dataset):
    config = GrowthConfig(recipe=Recipe(epochs=4, batch_size=16), width_multiple=2, policy=policy)
    result = grow(space, dataset, budget=Budget(macs=0.6), config=config, seed=1)
    for record in result.history:
        assert record.cost <= record.limit
        assert all(width % 2 == 0 for width in record.widths.values())
    assert result.cost > 0.7 * result.limit


def test_a_multiple_below_one_is_refused():
    with pytest.raises(UsageError, match="width_multiple: 0 is below 1; 8 suits"):
        dataclasses.replace(GrowthConfig(), width_multiple=0)
