"""Budgets of networks whose units may go; the example is small enough to count by hand."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures

# A stream of a channels costs 5 a; unit u with b channels inside costs 10 a b, unit v costs 20.
STRUCTURES = Structures(
    names=("a", "b", "u", "v"), sizes=(2, 3, 1, 1), inside={"u": ("b",), "v": ()}
)
TERMS = CostTerms(names=STRUCTURES.names, terms=((5, (0,)), (10, (0, 1, 2)), (20, (3,))))


def projection(limit):
    return BudgetProjection(structures=STRUCTURES, terms=TERMS, limit=limit)


def mask(text):
    return torch.tensor([digit == "1" for digit in text.replace(" ", "")])


def test_a_detached_unit_costs_nothing_whatever_its_channels_say():
    assert projection(5).cost(mask("10 000 0 0")) == 5
    assert projection(5).cost(mask("10 111 0 0")) == 5
    assert projection(5).cost(mask("11 111 1 1")) == 10 + 60 + 20


def test_the_expected_share_counts_units_by_their_probability():
    chances = torch.tensor([1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.0])
    # 1.5 channels, 1.5 inside: 7.5 + 10 * 1.5 * 1.5 * 0.25.
    assert projection(1).expected_share(chances) == 7.5 + 5.625
    assert projection(5).expected_share(torch.zeros(7)) == 1.0


def test_capping_drops_a_unit_with_all_that_is_inside_it():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.2])
    assert torch.equal(projection(89).cap(mask("11 111 1 1"), scores), mask("11 000 0 1"))


def test_capping_takes_channels_inside_a_unit_before_a_better_unit():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.1, 0.2, 0.6, 0.5])
    # 90; without channel 3 (.1) 70; without channel 4 (.2) 50; without v (.5) 30; without u 10.
    assert torch.equal(projection(70).cap(mask("11 111 1 1"), scores), mask("11 101 1 1"))
    assert torch.equal(projection(30).cap(mask("11 111 1 1"), scores), mask("11 100 1 0"))
    assert torch.equal(projection(29).cap(mask("11 111 1 1"), scores), mask("11 000 0 0"))


def test_a_live_unit_without_live_channels_gets_its_best_one():
    scores = torch.tensor([0.9, 0.8, 0.1, 0.3, 0.2, 0.6, 0.5])
    assert torch.equal(projection(90).cap(mask("10 000 1 0"), scores), mask("10 010 1 0"))


def test_filling_wakes_a_unit_with_its_best_channel_and_then_the_others():
    # The channels inside rank above their unit, and have to wait for it.
    scores = torch.tensor([0.9, 0.1, 0.6, 0.8, 0.7, 0.5, 0.2])
    seed = mask("10 000 0 0")
    assert torch.equal(projection(14).fill(seed, scores), mask("11 000 0 0"))
    assert torch.equal(projection(15).fill(seed, scores), mask("10 010 1 0"))
    assert torch.equal(projection(25).fill(seed, scores), mask("10 011 1 0"))
    assert torch.equal(projection(90).fill(seed, scores), mask("11 111 1 1"))


masks = st.lists(st.booleans(), min_size=7, max_size=7).map(torch.tensor)
rankings = st.lists(st.floats(0, 1), min_size=7, max_size=7).map(torch.tensor)


@given(live=masks, scores=rankings, limit=st.integers(5, 95))
def test_spending_leaves_room_for_no_channel_and_no_unit(live, scores, limit):
    before = live.clone()
    spent = projection(limit).spend(live, scores)
    counts = STRUCTURES.widths(spent)
    assert torch.equal(STRUCTURES.running(spent), spent)
    assert projection(limit).cost(spent) <= limit
    assert counts["a"] >= 1
    assert bool(counts["b"]) == bool(counts["u"])
    for more in (~spent).nonzero().flatten().tolist():
        larger = spent.clone()
        larger[more] = True
        if more == 5:
            larger[2] = True
        elif more in (2, 3, 4) and not counts["u"]:
            continue
        assert projection(limit).cost(larger) > limit
    assert torch.equal(live, before)
