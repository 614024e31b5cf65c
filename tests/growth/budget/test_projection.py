import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures

# Two groups of 3 and 2 channels; a network of (a, b) channels costs 10 a b + a.
STRUCTURES = Structures(names=("a", "b"), sizes=(3, 2))
TERMS = CostTerms(names=("a", "b"), terms=((10, (0, 1)), (1, (0,))))


def projection(limit):
    return BudgetProjection(structures=STRUCTURES, terms=TERMS, limit=limit)


def mask(text):
    return torch.tensor([digit == "1" for digit in text.replace(" ", "")])


def test_capping_drops_the_lowest_scores_first():
    scores = torch.tensor([0.9, 0.1, 0.5, 0.8, 0.2])
    # 63 with all; without channel 1 (score .1) 42; without channel 4 (.2) 22.
    assert torch.equal(projection(42).cap(mask("111 11"), scores), mask("101 11"))
    assert torch.equal(projection(41).cap(mask("111 11"), scores), mask("101 10"))


def test_capping_never_takes_a_groups_last_channel():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.1, 0.0])
    assert torch.equal(projection(11).cap(mask("111 11"), scores), mask("100 10"))


def test_an_empty_group_gets_its_best_channel():
    scores = torch.tensor([0.1, 0.2, 0.3, 0.5, 0.4])
    assert torch.equal(projection(63).with_one_each(mask("100 00"), scores), mask("100 10"))


def test_filling_takes_the_best_that_still_fit():
    scores = torch.tensor([0.9, 0.6, 0.5, 0.8, 0.7])
    # From 11: channel 4 -> 21; channel 1 -> 42 is too much, and so is channel 2.
    assert torch.equal(projection(41).fill(mask("100 10"), scores), mask("100 11"))
    assert torch.equal(projection(42).fill(mask("100 10"), scores), mask("110 11"))


def test_filling_to_a_share_of_the_limit_stops_there():
    scores = torch.tensor([0.9, 0.6, 0.5, 0.8, 0.7])
    assert torch.equal(projection(63).fill(mask("100 10"), scores, share=0.4), mask("100 11"))


def test_the_expected_share_counts_at_least_one_channel_a_group():
    assert projection(22).expected_share(torch.zeros(5)) == 0.5
    assert projection(22).expected_share(torch.tensor([1.0, 0.5, 0.5, 0.5, 0.5])) == 1.0


masks = st.lists(st.booleans(), min_size=5, max_size=5).map(torch.tensor)
rankings = st.lists(st.floats(0, 1), min_size=5, max_size=5).map(torch.tensor)


@given(live=masks, scores=rankings, limit=st.integers(11, 70))
def test_spending_ends_within_the_limit_with_no_room_left_and_one_channel_a_group(
    live, scores, limit
):
    before = live.clone()
    spent = projection(limit).spend(live, scores)
    assert projection(limit).cost(spent) <= limit
    assert min(STRUCTURES.counts(spent)) >= 1
    for channel in (~spent).nonzero().flatten():
        larger = spent.clone()
        larger[channel] = True
        assert projection(limit).cost(larger) > limit
    assert torch.equal(live, before)


def _by_time(marginals, *, structures=STRUCTURES):
    return BudgetProjection(
        structures=structures,
        terms=TERMS,
        limit=63,
        marginals=lambda sizes: np.array(marginals, dtype=float),
    )


def test_without_marginals_the_penalty_presses_all_alike():
    assert projection(22).pressure(torch.ones(5), over=True) == 1.0


def test_over_the_limit_dear_channels_are_pressed_harder_and_below_it_cheap_ones():
    # Group a's 3 channels cost 2 each, group b's 2 channels 4: twice as much.
    found = _by_time([2.0, 4.0])
    over = found.pressure(torch.ones(5), over=True)
    below = found.pressure(torch.ones(5), over=False)
    # Together they cost 14, and are pushed by 14: 3 x 2 x 1 + 2 x 4 x 2 = 22, and 20 below.
    assert torch.allclose(over, torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0]) * 14 / 22)
    assert torch.allclose(below, torch.tensor([2.0, 2.0, 2.0, 1.0, 1.0]) * 14 / 20)


def test_no_channel_is_pressed_much_harder_than_the_others():
    over = _by_time([1e-9, 1.0]).pressure(torch.ones(5), over=True)
    assert torch.allclose(over[3] / over[0], torch.tensor(16.0))
    nothing = _by_time([0.0, 0.0]).pressure(torch.ones(5), over=True)
    assert torch.allclose(nothing, torch.ones(5))


def test_units_are_weighed_against_units():
    structures = Structures(names=("a", "u", "v"), sizes=(3, 1, 1), inside={"u": (), "v": ()})
    over = _by_time([5.0, 1.0, 4.0], structures=structures).pressure(torch.ones(5), over=True)
    # Units of 1 and 4: pushed by 0.5 and 2 around their middle, 8.5 instead of 5 in all.
    assert torch.allclose(over, torch.tensor([1.0, 1.0, 1.0, 0.5 / 1.7, 2 / 1.7]))


def test_a_fixed_part_of_the_cost_is_left_out_of_shares():
    free = BudgetProjection(structures=STRUCTURES, terms=TERMS, limit=42, fixed=11)
    assert free.expected_share(torch.zeros(5)) == 0.0
    assert free.expected_share(torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])) == 1.0
    # Half of the 31 that there are to spend brings the bound to 26.5: one channel of b for 10.
    scores = torch.tensor([0.9, 0.6, 0.5, 0.8, 0.7])
    assert torch.equal(free.fill(mask("100 10"), scores, share=0.5), mask("100 11"))


def test_next_to_nothing_to_spend_is_no_reason_to_press_without_end():
    free = BudgetProjection(structures=STRUCTURES, terms=TERMS, limit=11, fixed=11)
    # A tenth of the limit is taken for what there is to spend.
    assert abs(free.expected_share(torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])) - 10 / 1.1) < 1e-6


def test_a_channel_is_exchanged_for_one_of_another_group_where_that_comes_nearer():
    # A network of (a, b) channels costs 7 a + 5 b; of 2 a side, with at most 3.
    structures = Structures(names=("a", "b"), sizes=(3, 3))
    terms = CostTerms(names=("a", "b"), terms=((7, (0,)), (5, (1,))))
    projection = BudgetProjection(structures=structures, terms=terms, limit=26)
    scores = torch.tensor([6.0, 5.0, 1.0, 3.0, 2.0, 4.0])
    live = torch.tensor([True, True, False, True, False, False])
    # 19, then 24 with one more of b; another is over. One of b for one of a makes 26.
    filled = projection.fill(live, scores)
    assert filled.tolist() == [True, True, False, True, False, True]
    spent = projection.spend(live, scores)
    assert spent.tolist() == [True, True, True, False, False, True]
    assert projection.cost(spent) == 26


def test_where_no_exchange_comes_nearer_the_network_stays():
    structures = Structures(names=("a", "b"), sizes=(2, 2))
    terms = CostTerms(names=("a", "b"), terms=((10, (0,)), (10, (1,))))
    projection = BudgetProjection(structures=structures, terms=terms, limit=29)
    live = torch.tensor([True, False, True, False])
    assert torch.equal(projection.spend(live, torch.arange(4.0)), live)
