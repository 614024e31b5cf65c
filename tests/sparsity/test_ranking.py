import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.sparsity.patterns import highest
from growsearch.sparsity.ranking import counts_within


def scores(**layers):
    return {name: torch.tensor(values) for name, values in layers.items()}


def test_all_layers_form_one_ranking():
    found = counts_within(scores(a=[5.0, 1.0, 3.0], b=[4.0, 2.0]), {"a": 1, "b": 1}, 3)
    # 5, 4 and 3.
    assert found == {"a": 2, "b": 1}


def test_weights_are_taken_from_the_top_for_as_long_as_their_cost_fits():
    # 9 costs 4, 8 costs 1, 7 costs 4: 9 and 8 make 5, and 7 would make 9.
    found = counts_within(scores(a=[9.0, 7.0], b=[8.0, 1.0]), {"a": 4, "b": 1}, 8)
    assert found == {"a": 1, "b": 1}


def test_equal_scores_go_to_the_earlier_layer():
    found = counts_within(scores(a=[2.0, 2.0], b=[2.0, 3.0]), {"a": 1, "b": 1}, 2)
    assert found == {"a": 1, "b": 1}
    assert counts_within(scores(b=[2.0, 3.0], a=[2.0, 2.0]), {"a": 1, "b": 1}, 2) == {
        "b": 2,
        "a": 0,
    }


def test_minus_infinity_is_never_taken_and_negative_scores_are_below_zero():
    given_scores = scores(a=[-math.inf, -2.0, 0.0], b=[-1.0, -math.inf])
    assert counts_within(given_scores, {"a": 1, "b": 1}, 9) == {"a": 2, "b": 1}
    assert counts_within(given_scores, {"a": 1, "b": 1}, 2) == {"a": 1, "b": 1}
    assert counts_within(given_scores, {"a": 1, "b": 1}, 0) == {"a": 0, "b": 0}


def test_layers_that_cost_nothing_are_kept_down_to_the_bound():
    found = counts_within(scores(a=[3.0, 1.0], b=[2.0, 0.5]), {"a": 1, "b": 0}, 1)
    # 3 is paid for, 2 is free, 1 does not fit any more.
    assert found == {"a": 1, "b": 1}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    share=st.floats(0, 1.1),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16]),
)
def test_counts_at_equal_cost_are_those_of_a_sort(seed, share, dtype):
    generator = torch.Generator().manual_seed(seed)
    # Few different values, so that there are ties; positive and negative.
    layers = {n: torch.randint(-4, 5, (7,), generator=generator).to(dtype) for n in "abc"}
    limit = round(share * 21)
    found = counts_within(layers, dict.fromkeys(layers, 1), limit)
    order = torch.argsort(torch.cat(list(layers.values())), descending=True, stable=True)[:limit]
    expected = {name: int(((order // 7) == place).sum()) for place, name in enumerate("abc")}
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(-1, 31), levels=st.integers(1, 40))
def test_the_highest_scores_are_those_of_a_stable_sort(seed, count, levels):
    values = torch.randint(levels, (5, 6), generator=torch.Generator().manual_seed(seed)).float()
    chosen = highest(values, count)
    order = torch.argsort(values.flatten(), descending=True, stable=True)
    expected = torch.zeros(30, dtype=torch.bool)
    expected[order[: max(count, 0)]] = True
    assert torch.equal(chosen, expected.view(5, 6))


def test_scores_that_are_no_numbers_do_not_change_the_count():
    values = torch.tensor([1.0, math.nan, 3.0, math.nan])
    assert [int(highest(values, count).sum()) for count in range(5)] == [0, 1, 2, 3, 4]


def test_a_cost_without_any_layer_is_no_count():
    assert counts_within({}, {}, 5) == {}
    with pytest.raises(KeyError):
        counts_within(scores(a=[1.0]), {}, 1)
