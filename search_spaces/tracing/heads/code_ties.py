"""Code ties: groups that a network only runs with at other widths together, or with its attributes.

Where code takes the width of one tensor for that of another (the heads of an attention that views
all that they make as the stream), the groups behind them are one. Where it reads a number from an
attribute, that follows the group.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, Role, named_tensors
from search_spaces.tracing.channel_grouping import tie
from search_spaces.tracing.found_groups import Found, Joined, found_groups
from search_spaces.tracing.heads.attribute_search import AttributeSearch


def followed_groups(lost: Iterable[Found], search: AttributeSearch) -> list[Found]:
    """Return those of ``lost`` whose channels can be removed if attributes follow, with these."""
    found = []
    for each in lost:
        assert each.group is not None
        if not each.group.kept and each.group.size > 1:
            group = search.followed(each.group, plain=False)
            if group is not None:
                found.append(replace(each, group=group))
    return found


def tied_groups(
    module: nn.Module,
    joined: Joined,
    lost: Sequence[Found],
    heads: Sequence[Found],
    search: AttributeSearch,
) -> Iterator[tuple[Found, tuple[Found, ...]]]:
    """Yield groups that are several of ``lost`` and of ``heads`` in one, and which these are.

    Args:
        module: the network.
        joined: what is known of its heads (of its channels, where it has none).
        lost: groups of channels that cannot be resized alone.
        heads: groups of heads that cannot.
        search: proves them.
    """
    tensors = named_tensors(module)
    widths = dict.fromkeys(each.group.size for each in lost if each.group is not None)
    for width in widths:
        parts = [
            each
            for each in (*lost, *heads)
            if each.group is not None and _width(each.group, tensors) == width
        ]
        if len(parts) < 2 or not any(each in lost for each in parts):
            continue
        labels = copy.deepcopy(joined.labels)
        joins: Mapping[int, int] = next(iter(tie([each.channels for each in parts])), {})
        for label, other in joins.items():
            labels.join_labels(label, other)
        axes = {(m.tensor, m.axis) for p in parts if p.group is not None for m in p.group.members}
        for each in found_groups(module, replace(joined, labels=labels)):
            group = each.group
            if group is None or not {(m.tensor, m.axis) for m in group.members} >= axes:
                continue
            proven = None if group.kept or group.size == 1 else search.followed(group)
            if proven is not None:
                by_heads = any(part in heads for part in parts)
                role: Role = "embedding" if by_heads else proven.role
                yield replace(each, group=replace(proven, role=role)), tuple(parts)


def _width(group: ChannelGroup, tensors: Mapping[str, Tensor]) -> int:
    """Return the channels of a group; of heads how many entries they put out together."""
    if group.role != "heads":
        return group.size
    return max((tensors[m.tensor].shape[m.axis] for m in group.members if m.reads), default=0)
