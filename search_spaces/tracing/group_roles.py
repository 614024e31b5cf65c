"""Group roles: which groups of a transformer are its stream, and which its hidden layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from search_spaces.channel_groups import ChannelGroup, axes_by_tensor


def with_roles(groups: Sequence[ChannelGroup]) -> tuple[ChannelGroup, ...]:
    """Return ``groups`` with a `ChannelGroup.role` for streams that heads read, and between these.

    A stream is normalised over its channels and read by what makes heads, or goes by heads itself.
    The hidden units of a perceptron are made of a stream, and read for one.
    """
    streams = {group.name for group in groups if _is_stream(group, groups)}
    found = []
    for group in groups:
        if group.role == "channels" and group.name in streams:
            group = replace(group, role="embedding")
        elif group.role == "channels" and _is_between(group, groups, streams):
            group = replace(group, role="mlp")
        found.append(group)
    return tuple(found)


def _is_stream(group: ChannelGroup, groups: Sequence[ChannelGroup]) -> bool:
    if group.role == "embedding":
        return True
    if group.role == "heads" or not group.normalised:
        return False
    made = {m.tensor for g in groups if g.role == "heads" for m in g.members if not m.reads}
    # Torch's attention has as many heads as its stream has room for.
    packed = [m.tensor for m in group.members if m.tensor.endswith("in_proj_weight")]
    return len(packed) > len(set(packed)) or any(
        member.reads and member.tensor in made for member in group.members
    )


def _is_between(group: ChannelGroup, groups: Sequence[ChannelGroup], streams: set[str]) -> bool:
    beside = axes_by_tensor(tuple(groups))
    ends: dict[bool, set[str]] = {True: set(), False: set()}
    for member in group.members:
        others = {other.name for _, other, _ in beside[member.tensor]} - {group.name}
        ends[bool(member.reads)] |= others
    return all(names and names <= streams for names in ends.values())
