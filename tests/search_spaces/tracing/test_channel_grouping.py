"""Groups and runs of hand-written labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.tracing.channel_grouping import Run, grouping

MAKER, READER = ("maker", 0), ("reader", 1)


def told(maker, reader, free=None):
    return grouping({MAKER: maker, READER: reader}, set(maker) if free is None else free)


def runs(*each):
    return tuple(Run(group=group, size=size, repeat=repeat) for group, size, repeat in each)


@pytest.mark.parametrize(
    ("labels", "repeat", "blocks"),
    [
        ([5, 6, 7], 1, 1),
        ([5, 5, 6, 6, 7, 7], 2, 1),
        ([5, 6, 7, 5, 6, 7], 1, 2),
        ([5, 5, 6, 6, 7, 7, 5, 5, 6, 6, 7, 7], 2, 2),
    ],
)
def test_an_axis_of_one_group_is_blocks_of_channels_with_entries_side_by_side(
    labels, repeat, blocks
):
    found = told([5, 6, 7], labels)
    assert found.groups == ((5, 6, 7),)
    assert found.axes[READER] == (runs((0, 3, repeat)), blocks)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_every_regular_layout_is_found(size, repeat, blocks):
    labels = [channel for channel in range(size) for _ in range(repeat)] * blocks
    found = told(list(range(size)), labels)
    ((run,), times) = found.axes[READER]
    assert [c for c in range(size) for _ in range(run.repeat)] * times == labels


@pytest.mark.parametrize("labels", [[7, 6, 5], [5, 6, 7, 7, 6, 5]])
def test_channels_in_another_order_are_told_with_the_axis(labels):
    found = told([5, 6, 7], labels)
    assert found.groups == ()
    assert found.failed == dict.fromkeys((5, 6, 7), READER)


def test_an_axis_may_hold_several_groups_and_entries_of_none():
    left, right, reader = [1, 2, 3], [4, 5], [9, 1, 2, 3, 8, 8, 4, 4, 5, 5, 1, 2, 3]
    found = grouping({("l", 0): left, ("r", 0): right, READER: reader}, {*left, *right})
    assert found.groups == ((1, 2, 3), (4, 5))
    expected = runs((-1, 1, 1), (0, 3, 1), (-1, 2, 1), (1, 2, 2), (0, 3, 1))
    assert found.axes[READER] == (expected, 1)


def test_blocks_of_several_groups_are_told_once():
    found = grouping({("l", 0): [1, 2], ("r", 0): [3], READER: [1, 2, 3] * 4}, {1, 2, 3})
    assert found.axes[READER] == (runs((0, 2, 1), (1, 1, 1)), 4)


def test_channels_that_are_read_more_often_are_a_group_of_their_own():
    found = told([1, 2, 3, 4], [1, 2, 3, 4, 1, 2])
    assert found.groups == ((1, 2), (3, 4))
    assert found.axes[READER] == (runs((0, 2, 1), (1, 2, 1), (0, 2, 1)), 1)


def test_shuffled_channels_go_together():
    found = told([0, 1, 2, 3, 4, 5, 6, 7], [0, 4, 1, 5, 2, 6, 3, 7])
    assert found.groups == ((0, 1, 2, 3),)
    assert found.axes == {MAKER: (runs((0, 4, 1)), 2), READER: (runs((0, 4, 2)), 1)}
    assert found.labels[MAKER] == [0, 1, 2, 3] * 2


def test_layers_that_are_interleaved_go_together_channel_by_channel():
    found = grouping({("l", 0): [1, 2], ("r", 0): [3, 4], READER: [1, 3, 2, 4]}, {1, 2, 3, 4})
    assert found.groups == ((1, 2),)
    assert found.axes[READER] == (runs((0, 2, 2)), 1)
    uneven = {("l", 0): [1, 2], ("r", 0): [3, 4, 5, 6], READER: [1, 3, 4, 2, 5, 6]}
    assert grouping(uneven, set(range(1, 7))).axes[READER] == (runs((0, 2, 3)), 1)


def test_what_does_not_lie_in_runs_leaves_the_others_on_the_axis_free():
    found = grouping(
        {("l", 0): [1, 2, 3], ("r", 0): [4, 5], READER: [3, 2, 1, 4, 5]}, {1, 2, 3, 4, 5}
    )
    assert found.groups == ((4, 5),)
    assert found.axes[READER] == (runs((-1, 3, 1), (0, 2, 1)), 1)


def test_on_an_unordered_axis_channels_only_have_to_be_there():
    product = ("product", 0)
    labels = {("q", 0): [1, 2], ("k", 0): [1, 2], product: [2, 1, 2, 1]}
    found = grouping(labels, {1, 2}, unordered=[product])
    assert found.groups == ((1, 2),)
    assert found.axes[product] == (runs((0, 2, 1)), 1)
