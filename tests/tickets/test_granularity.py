import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from growsearch.errors import UsageError
from growsearch.tickets.granularity import (
    GRANULARITIES,
    check_granularity,
    check_layers,
    choose_units,
    expanded,
    pooled,
    unit_size,
)

CONVOLUTION, LINEAR = torch.Size((4, 3, 5, 2)), torch.Size((6, 7))


def test_units_are_weights_rows_kernels_and_channels() -> None:
    assert [unit_size(CONVOLUTION, g) for g in GRANULARITIES] == [1, 2, 10, 30]
    assert [unit_size(LINEAR, g) for g in GRANULARITIES] == [1, 1, 1, 7]


def test_an_unknown_granularity_lists_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="valid: unstructured, row, kernel, channel"):
        check_granularity("column")


def test_whole_output_channels_of_a_transposed_convolution_cannot_be_had() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 2, 3))
    for granularity in ("unstructured", "row", "kernel"):
        check_layers(model, ["0.weight", "1.weight"], granularity)
    check_layers(model, ["0.weight"], "channel")
    with pytest.raises(UsageError, match=r"cannot be had for 1.weight, a transposed convolution"):
        check_layers(model, ["0.weight", "1.weight"], "channel")


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("shape", [CONVOLUTION, LINEAR])
def test_a_mask_that_is_pooled_again_fills_its_units_or_leaves_them_empty(
    granularity, shape
) -> None:
    scores = pooled(torch.rand(shape), granularity)
    mask = expanded(scores > scores.median(), shape)
    filled = pooled(mask.long(), granularity)
    assert mask.shape == shape
    assert set(filled.unique().tolist()) == {0, unit_size(shape, granularity)}


def test_the_highest_scores_of_all_layers_are_chosen_together() -> None:
    scores = {"a": torch.tensor([5.0, 1.0, 4.0]), "b": torch.tensor([2.0, 3.0])}
    chosen = choose_units(scores, {"a": 1, "b": 1}, 3)
    assert chosen["a"].tolist() == [True, False, True]
    assert chosen["b"].tolist() == [False, True]


def test_a_layer_keeps_one_unit_and_the_others_pay_for_it() -> None:
    scores = {"a": torch.tensor([5.0, 6.0, 4.0]), "b": torch.tensor([2.0, 3.0])}
    chosen = choose_units(scores, {"a": 1, "b": 1}, 2)
    assert chosen["a"].tolist() == [False, True, False]
    assert chosen["b"].tolist() == [False, True]


def test_single_weights_make_up_what_whole_units_miss() -> None:
    scores = {"a": torch.tensor([5.0, 4.0]), "b": torch.tensor([1.0, 2.0, 3.0])}
    # One unit of 3 and two single weights are 5; the next unit of 3 would be one too many.
    chosen = choose_units(scores, {"a": 3, "b": 1}, 5)
    assert chosen["a"].tolist() == [True, False]
    assert chosen["b"].tolist() == [False, True, True]


@given(
    sizes=st.lists(st.integers(2, 40), min_size=1, max_size=4),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_single_weights_always_meet_the_number_exactly(sizes, share, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = {str(i): torch.rand(n, generator=generator) for i, n in enumerate(sizes)}
    kept = max(len(sizes), round(share * sum(sizes)))
    chosen = choose_units(scores, dict.fromkeys(scores, 1), kept)
    assert sum(int(c.sum()) for c in chosen.values()) == kept
    assert all(bool(c.any()) for c in chosen.values())


def test_what_was_left_out_before_is_never_chosen() -> None:
    scores = {"a": torch.tensor([5.0, -torch.inf, 4.0]), "b": torch.tensor([1.0, -torch.inf])}
    chosen = choose_units(scores, {"a": 1, "b": 1}, 3)
    assert chosen["a"].tolist() == [True, False, True]
    assert chosen["b"].tolist() == [True, False]
