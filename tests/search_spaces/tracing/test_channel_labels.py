from search_spaces.tracing.channel_labels import ChannelLabels


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
