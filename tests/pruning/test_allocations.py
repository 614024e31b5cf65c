"""Allocations: optimal in small cases, within the limit, and in whole blocks."""

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.pruning import ALLOCATIONS
from growsearch.pruning.allocation.allocation import Request

SIZES = (6, 8, 4)
TERMS = CostTerms(names=("a", "b", "c"), terms=((3, (0,)), (1, (0, 1)), (2, (1, 2)), (5, (2,))))
STRUCTURES = Structures(names=("a", "b", "c"), sizes=SIZES)
FULL = TERMS.exact(SIZES)


def request(scores: torch.Tensor, share: float, **more: object) -> Request:
    projection = BudgetProjection(structures=STRUCTURES, terms=TERMS, limit=int(share * FULL))
    fields = {
        "live": torch.ones(STRUCTURES.total, dtype=torch.bool),
        "multiples": {},
        "least": {},
        "given": {},
        **more,
    }
    return Request(projection=projection, scores=scores, **fields)


@pytest.mark.parametrize("name", ALLOCATIONS)
@given(
    scores=st.lists(st.floats(0, 1), min_size=18, max_size=18),
    share=st.floats(0.25, 1.0),
    multiple=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_every_allocation_keeps_the_limit_in_whole_blocks_with_the_best_of_each_group(
    name: str, scores: list[float], share: float, multiple: int
) -> None:
    ranks = torch.tensor(scores)
    multiples = dict.fromkeys(STRUCTURES.names, multiple)
    try:
        live = ALLOCATIONS[name](request(ranks, share, multiples=multiples))
    except UsageError:
        assert TERMS.exact([multiple] * 3) > share * FULL - 1
        return
    counts = STRUCTURES.counts(live)
    assert TERMS.exact(counts) <= share * FULL
    for count, size in zip(counts, SIZES, strict=True):
        assert count >= 1
        assert count % multiple == 0 or count == size
    for part, rank in zip(
        STRUCTURES.split(live).values(), STRUCTURES.split(ranks).values(), strict=True
    ):
        if not part.all():
            assert rank[part].min() >= rank[~part].max()


def test_the_knapsack_is_near_the_best_of_all_widths() -> None:
    ranks = torch.rand(STRUCTURES.total, generator=torch.Generator().manual_seed(2))
    live = ALLOCATIONS["knapsack"](request(ranks, 0.5))
    parts = [part.sort(descending=True).values for part in STRUCTURES.split(ranks).values()]
    best = max(
        sum(float(part[:n].sum()) for part, n in zip(parts, counts, strict=True))
        for counts in itertools.product(*(range(1, size + 1) for size in SIZES))
        if TERMS.exact(counts) <= 0.5 * FULL
    )
    assert float(ranks[live].sum()) >= 0.95 * best


def test_uniform_widths_are_one_share_of_all() -> None:
    live = ALLOCATIONS["uniform"](request(torch.rand(STRUCTURES.total), 0.4))
    shares = [n / size for n, size in zip(STRUCTURES.counts(live), SIZES, strict=True)]
    assert max(shares) - min(shares) <= 0.25


def test_given_widths_and_least_widths_are_kept() -> None:
    for name in ALLOCATIONS:
        asked = request(torch.rand(18), 0.5, given={"b": 3}, least={"a": 4})
        counts = STRUCTURES.counts(ALLOCATIONS[name](asked))
        assert counts[1] == 3
        assert counts[0] >= 4


def test_a_limit_below_the_least_widths_is_told() -> None:
    with pytest.raises(UsageError, match="least_share, shares and width_multiple"):
        ALLOCATIONS["knapsack"](request(torch.rand(18), 0.3, least={"a": 6, "b": 8, "c": 4}))


def test_a_unit_goes_with_all_inside_it_where_it_matters_least_for_its_cost() -> None:
    structures = Structures(names=("a", "b", "u"), sizes=(4, 4, 1), inside={"u": ("b",)})
    terms = CostTerms(names=structures.names, terms=((1, (0,)), (10, (1, 2))))
    projection = BudgetProjection(structures=structures, terms=terms, limit=23)
    scores = torch.tensor([1.0] * 4 + [5.0] * 4 + [1.0])
    asked = Request(
        projection=projection,
        scores=scores,
        live=torch.ones(9, dtype=torch.bool),
        multiples={},
        least={},
        given={},
    )
    assert structures.counts(ALLOCATIONS["uniform"](asked)) == [3, 2, 1]
    # The best is [3, 2, 1], which no step of one block finds.
    assert structures.counts(ALLOCATIONS["knapsack"](asked)) == [4, 1, 1]
    tight = dataclasses.replace(asked, projection=dataclasses.replace(projection, limit=13))
    assert structures.counts(ALLOCATIONS["knapsack"](tight)) == [4, 0, 0]


def test_a_unit_matters_as_much_as_what_is_inside_it_and_comes_back_narrow() -> None:
    structures = Structures(names=("a", "b", "u"), sizes=(4, 8, 1), inside={"u": ("b",)})
    terms = CostTerms(names=structures.names, terms=((10, (0,)), (10, (1, 2))))
    projection = BudgetProjection(structures=structures, terms=terms, limit=80)
    asked = Request(
        projection=projection,
        # As a whole the unit seems to matter little, and most channels inside it do not.
        scores=torch.tensor([3.0] * 4 + [9.0, 8.0, 7.0] + [0.1] * 5 + [0.0]),
        live=torch.ones(13, dtype=torch.bool),
        multiples={},
        least={},
        given={},
    )
    assert structures.counts(ALLOCATIONS["knapsack"](asked)) == [4, 4, 1]
    cheap = dataclasses.replace(asked, scores=torch.tensor([3.0] * 4 + [0.1] * 8 + [0.0]))
    assert structures.counts(ALLOCATIONS["knapsack"](cheap)) == [4, 4, 1]


def test_what_is_gone_does_not_come_back() -> None:
    live = torch.ones(18, dtype=torch.bool)
    live[:3] = False
    for name in ALLOCATIONS:
        found = ALLOCATIONS[name](request(torch.rand(18), 1.0, live=live))
        assert torch.equal(found, live)
