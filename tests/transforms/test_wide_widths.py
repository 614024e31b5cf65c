"""How wide Sparse Wide makes every group."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.transforms import wide_widths
from search_spaces import ChannelGroup, Member


def groups(sizes, multiple=1) -> list[ChannelGroup]:
    return [
        ChannelGroup(name=str(i), size=size, members=(), multiple=multiple)
        for i, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sparsity", "widths"),
    [(0.5, [90, 180, 360, 720]), (0.75, [128, 256, 512, 1024]), (0.9, [202, 404, 808, 1616])],
)
def test_a_residual_network_keeps_the_ratios_of_its_stages(sparsity, widths):
    assert list(wide_widths(groups([64, 128, 256, 512]), sparsity).values()) == widths


@pytest.mark.parametrize(("sparsity", "widths"), [(0.5, [1092, 4344]), (0.75, [1536, 6144])])
def test_gpt3_small_gets_the_papers_sizes(sparsity, widths):
    stream = ChannelGroup(name="model", size=768, members=(), multiple=12)
    hidden = ChannelGroup(name="hidden", size=3072, members=())
    assert list(wide_widths([stream, hidden], sparsity).values()) == widths


def test_widths_without_a_common_base_are_floored_one_by_one():
    assert list(wide_widths(groups([10, 15, 7]), 0.5).values()) == [14, 21, 9]


def test_sparsity_zero_changes_no_width():
    assert wide_widths(groups([7, 13], multiple=4), 0.0) == {"0": 7, "1": 13}


def test_a_sparsity_of_one_has_no_width():
    with pytest.raises(UsageError, match="outside"):
        wide_widths(groups([8]), 1.0)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
    st.sampled_from([1 - 1 / k**2 for k in (2, 3, 4, 7)]),
)
def test_whole_factors_are_met_exactly(sizes, sparsity):
    factor = round(math.sqrt(1 / (1 - sparsity)))
    assert list(wide_widths(groups(sizes), sparsity).values()) == [factor * s for s in sizes]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_no_group_shrinks_or_grows_past_the_factor(sizes, sparsity):
    factor = math.sqrt(1 / (1 - sparsity))
    for before, after in zip(sizes, wide_widths(groups(sizes), sparsity).values(), strict=True):
        assert before <= after <= before * factor + 1e-6


def test_groups_of_a_grouped_convolution_do_not_set_the_base_of_the_others():
    whole = Member(tensor="conv.weight", axis=0, repeat=4, layer_groups=1)
    groups = [
        ChannelGroup(name="grouped", size=4, members=(whole,)),
        *(ChannelGroup(name=f"stage{i}", size=64 * 2**i, members=()) for i in range(2)),
    ]
    assert wide_widths(groups, sparsity=0.5) == {"grouped": 5, "stage0": 90, "stage1": 180}
