import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.tracing.channel_labels import ChannelLabels, channels_in_order, layout


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([5, 6, 7], (1, 1)),
        ([5, 5, 6, 6, 7, 7], (2, 1)),
        ([5, 6, 7, 5, 6, 7], (1, 2)),
        ([5, 5, 6, 6, 7, 7, 5, 5, 6, 6, 7, 7], (2, 2)),
        ([7, 6, 5], None),
        ([5, 6, 7, 7, 6, 5], None),
        ([5, 6], None),
        ([5, 6, 7, 5], None),
    ],
)
def test_a_layout_is_blocks_of_channels_with_entries_side_by_side(labels, expected):
    assert layout(labels, [5, 6, 7]) == expected


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_every_regular_layout_is_found(size, repeat, blocks):
    labels = [channel for channel in range(size) for _ in range(repeat)] * blocks
    found = layout(labels, channels_in_order(labels))
    assert found is not None
    again = [channel for channel in range(size) for _ in range(found[0])] * found[1]
    assert again == labels


def test_joined_entries_carry_one_label_through_any_number_of_axes():
    labels = ChannelLabels()
    for axis in (("a", 0), ("b", 0), ("c", 1)):
        labels.add(axis, 2)
    labels.join(("a", 0), 0, ("b", 0), 1)
    labels.join(("b", 0), 1, ("c", 1), 0)
    assert labels.label(("a", 0), 0) == labels.label(("c", 1), 0)
    assert labels.label(("a", 0), 1) != labels.label(("c", 1), 1)
    assert len(set(labels.labels(("b", 0)))) == 2


def test_axes_that_share_a_channel_are_one_cluster():
    labels = ChannelLabels()
    axes = [("a", 0), ("b", 0), ("c", 0), ("d", 0)]
    for axis in axes:
        labels.add(axis, 2)
    labels.join(axes[0], 0, axes[2], 0)
    labels.join(axes[2], 1, axes[3], 0)
    assert labels.clusters(axes) == [[axes[0], axes[2], axes[3]], [axes[1]]]
