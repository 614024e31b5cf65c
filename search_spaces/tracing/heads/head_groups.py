"""Head groups: attention heads as channel groups, beside those of the channels around them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from torch import nn

from search_spaces.channel_groups import ChannelGroup
from search_spaces.tracing.channel_labels import Axis
from search_spaces.tracing.found_groups import OUTPUTS, Found, Joined, found_groups, layer_of
from search_spaces.tracing.heads.attention_heads import Heads
from search_spaces.tracing.heads.attribute_search import AttributeSearch

_NOT_PROVEN = (
    "its heads cannot be removed: its code relies on their number, or on what they make together, "
    "in a way that no attribute of its modules says; let it read that from one (num_heads)"
)


def head_groups(
    module: nn.Module,
    joined: Joined,
    heads: Heads,
    scopes: Sequence[str],
    search: AttributeSearch,
) -> tuple[list[Found], list[Found]]:
    """Return the groups of heads whose removal is proven and why others are none; these groups.

    Args:
        module: the network.
        joined: what is known of its channels.
        heads: what is known of its heads.
        scopes: the path of the module that each of its operators ran in.
        search: for the attributes that follow the heads.
    """
    found, unproven = [], []
    taken: dict[str, int] = {}
    for each in found_groups(module, joined_by_heads(joined, heads, scopes)):
        if each.group is None:
            continue
        axes = [axis for axis in _axes(each.group) if axis in heads.scopes]
        if not axes:
            continue
        scope = _common(heads.scopes[axis] for axis in axes)
        base = f"{scope} heads".strip()
        taken[base] = taken.get(base, 0) + 1
        name = base if taken[base] == 1 else f"{base}#{taken[base]}"
        group = replace(_renamed(each.group, name), role="heads", gate="readers")
        proven = None if group.kept or group.size == 1 else search.followed(group, scope)
        reason = "" if proven is not None else group.kept or _NOT_PROVEN
        found.append(replace(each, name=name, group=proven, reason=reason))
        if proven is None:
            unproven.append(replace(each, name=name, group=group))
    return found, unproven


def joined_by_heads(joined: Joined, heads: Heads, scopes: Sequence[str]) -> Joined:
    """Return what is joined, by heads: what keeps single channels from going is no matter there."""
    problems = {
        axis: problem
        for axis, problem in joined.problems.items()
        if axis not in heads.scopes or problem == OUTPUTS
    }
    mixed = {**joined.mixed}
    for axis, places in heads.statistics.items():
        mixed[axis] = frozenset(scopes[place] for place in places)
    rows = {axis: joined.products.get(axis, {}) for axis in heads.rows}
    return replace(
        joined,
        labels=heads.labels,
        products={**joined.products, **rows},
        problems=problems,
        mixed=mixed,
    )


def _axes(group: ChannelGroup) -> dict[Axis, None]:
    return dict.fromkeys((member.tensor, member.axis) for member in group.members)


def _common(paths: Iterable[str]) -> str:
    steps = zip(*(path.split(".") for path in paths), strict=False)
    same = itertools.takewhile(lambda step: len(set(step)) == 1, steps)
    return ".".join(step[0] for step in same)


def _renamed(group: ChannelGroup, name: str) -> ChannelGroup:
    members = tuple(
        replace(
            member,
            parts=tuple(
                replace(part, group=name if part.group == group.name else part.group)
                for part in member.parts
            ),
        )
        for member in group.members
    )
    return replace(group, name=name, members=members)


def beside_heads(found: Iterable[Found], heads: Sequence[Found]) -> list[Found]:
    """Return what was ``found`` but for that which proven ``heads`` hold, and these.

    An axis of a tensor is resized by heads or by channels within them, not by both.
    """
    proven = [each.group for each in heads if each.group is not None]
    held = {axis for group in proven for axis in _axes(group)}
    layers = {layer_of(m.tensor) for group in proven for m in group.members if not m.reads}
    left = [
        each
        for each in found
        if not (
            each.name.partition("#")[0] in layers
            if each.group is None
            else held & _axes(each.group).keys()
        )
    ]
    return [*left, *heads]
