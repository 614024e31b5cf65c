"""Present sizes of channel groups, from the shapes of the tensors that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from search_spaces.axes.axis_parts import Member, with_sizes
from search_spaces.channel_groups import ChannelGroup


def with_present_sizes(
    groups: Sequence[ChannelGroup], tensors: Mapping[str, Tensor]
) -> tuple[ChannelGroup, ...]:
    """Return ``groups`` with the sizes that ``tensors`` have now.

    A group that shares all of its axes with others has what these leave (see `told_sizes`).
    """
    return groups_of_sizes(groups, _sizes(groups, tensors))


def groups_of_sizes(
    groups: Iterable[ChannelGroup], sizes: Mapping[str, int]
) -> tuple[ChannelGroup, ...]:
    """Return ``groups`` at these sizes, by name; of the others they hold what they did.

    What shares an axis moves with it: where a group's channels lie follows from the sizes of those
    before it, which its members' parts then say too.

    Example:
        >>> import torch
        >>> from search_spaces import ChannelGroup, Member
        >>> from search_spaces.axes.axis_parts import Part
        >>> from search_spaces.group_sizes import groups_of_sizes
        >>> parts = Part(group="a", size=3), Part(group="b", size=2)
        >>> reads = Member(tensor="head.weight", axis=1, parts=parts, place=1)
        >>> b = ChannelGroup(name="b", size=2, members=(reads,))
        >>> (now,) = groups_of_sizes([b], {"a": 1})
        >>> now.members[0].entries(torch.arange(2), now.size).tolist()
        [1, 2]
    """
    return tuple(
        replace(
            group,
            size=sizes.get(group.name, group.size),
            members=tuple(
                replace(member, parts=with_sizes(member.parts, sizes)) if member.parts else member
                for member in group.members
            ),
        )
        for group in groups
    )


def _sizes(groups: Sequence[ChannelGroup], tensors: Mapping[str, Tensor]) -> dict[str, int]:
    names, sizes = {group.name for group in groups}, dict[str, int]()
    waiting = list(groups)
    while waiting:
        left = []
        for group in waiting:
            for member in group.members:
                if _others(member, group.name) & names <= sizes.keys():
                    sizes[group.name] = _alone(group.name, member, tensors, sizes)
                    break
            else:
                left.append(group)
        if len(left) == len(waiting):
            return sizes | _solved(left, tensors, sizes)
        waiting = left
    return sizes


def _others(member: Member, group: str) -> set[str]:
    return {part.group for part in member.parts} - {group, ""}


def _alone(
    name: str, member: Member, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> int:
    length = tensors[member.tensor].shape[member.axis] // member.blocks
    if not member.parts:
        return length // member.repeat
    parts = with_sizes(member.parts, sizes)
    others = sum(part.length for part in parts if part.group != name)
    return (length - others) // sum(part.repeat for part in parts if part.group == name)


def _solved(
    groups: Sequence[ChannelGroup], tensors: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Return the sizes that all axes together leave: they are a system of linear equations."""
    rows, totals = _equations(groups, sizes)
    lengths = [
        tensors[member.tensor].shape[member.axis] // member.blocks - known
        for member, known in totals
    ]
    found = torch.linalg.lstsq(rows, torch.tensor(lengths, dtype=torch.float64).unsqueeze(1))
    return {
        group.name: int(size)
        for group, size in zip(groups, found.solution.flatten().round(), strict=True)
    }


def _equations(
    groups: Sequence[ChannelGroup], sizes: Mapping[str, int]
) -> tuple[Tensor, list[tuple[Member, int]]]:
    """Return how often each axis has each group's channels (axes, groups), and what else is there.

    The second is, for each axis, a member on it and its entries of groups with known ``sizes``.
    """
    names = [group.name for group in groups]
    members = {(m.tensor, m.axis): m for group in groups for m in group.members}
    rows, totals = torch.zeros(len(members), len(names), dtype=torch.float64), []
    for row, member in enumerate(members.values()):
        known = 0
        for part in with_sizes(member.parts, sizes):
            if part.group in names:
                rows[row, names.index(part.group)] += part.repeat
            else:
                known += part.length
        totals.append((member, known))
    return rows, totals


def told_sizes(groups: Sequence[ChannelGroup]) -> tuple[ChannelGroup, ...]:
    """Return those of ``groups`` whose sizes follow from the shapes of tensors.

    Where two always stand side by side, only their sum does; the first of them is then taken out,
    and so on.
    """
    kept = list(groups)
    while shared := [group for group in kept if all(member.parts for member in group.members)]:
        rows, _ = _equations(shared, {})
        rank = int(torch.linalg.matrix_rank(rows))
        if rank == len(shared):
            break
        free = torch.linalg.svd(rows)[2][rank:].abs().max(dim=0).values
        kept.remove(shared[int(free.argmax())])
    return tuple(kept)
