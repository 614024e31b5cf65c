"""Grouping of channels: which labels are resized together, and how each axis holds them.

Channels that occur in the same axes, each the same number of times, are one group. An axis is told
as runs: all channels of a group in their order, each with the same number of entries side by side,
then those of another group, or entries that belong to none. Where channels lie otherwise (the even
ones first, a shuffle of two layers), it is tried whether some of them together, as one channel, lie
so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.tracing.channel_labels import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A part of an axis: ``repeat`` entries for each channel of a group, or ``size`` of no group.

    ``group`` is its place in `Grouping.groups`, -1 for none.
    """

    group: int
    size: int
    repeat: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Groups as labels in the order of their channels, and what each axis holds.

    ``axes`` has the runs of one block and the number of blocks; only axes that hold a group are in
    it. Of those on which order says nothing it has each group once. ``failed`` says for labels
    which axis has them in a pattern that cannot be told. ``labels`` are those of all entries,
    channels that go together as one.
    """

    groups: tuple[tuple[int, ...], ...]
    axes: Mapping[Axis, tuple[tuple[Run, ...], int]]
    failed: Mapping[int, Axis]
    labels: Mapping[Axis, Sequence[int]]


def grouping(
    labels: Mapping[Axis, Sequence[int]], free: Collection[int], unordered: Collection[Axis] = ()
) -> Grouping:
    """Group the ``free`` labels.

    Args:
        labels: of all entries of every axis; the order of channels is that of their first entries.
        free: labels of channels that may be of another number; all others belong to no group.
        unordered: axes on which channels may lie in any order (both factors of a product agree).
    """
    left, failed = set(free), dict[int, Axis]()
    while True:
        groups = _groups(labels, left, unordered)
        places = _places(groups)
        told = {a: _runs(e, places) for a, e in labels.items() if a not in unordered}
        wrong: dict[int, Axis] = {}
        for axis, (_, bad) in told.items():
            for group in bad:
                wrong.setdefault(group, axis)
        if not wrong:
            break
        hopeless, coarser = list[int](), None
        for group, axis in wrong.items():
            together = _together(labels[axis], places, group, groups)
            coarser = _coarser(labels, left, unordered, together)
            if coarser is not None:
                break
            hopeless.append(group)
        if coarser is not None and not hopeless:
            labels, left = coarser
        # Whether one group lies in runs does not depend on the others.
        for group in hopeless:
            failed |= dict.fromkeys(groups[group], wrong[group])
            left -= set(groups[group])
    axes = {
        axis: _blocks(_merged(runs))
        for axis, (runs, _) in told.items()
        if any(run.group >= 0 for run in runs)
    }
    for axis in labels.keys() & set(unordered):
        there = dict.fromkeys(places[label][0] for label in labels[axis] if label in places)
        axes[axis] = tuple(Run(group=each, size=len(groups[each])) for each in there), 1
    return Grouping(groups=groups, axes=axes, failed=failed, labels=labels)


def _groups(
    labels: Mapping[Axis, Sequence[int]], free: Collection[int], unordered: Collection[Axis]
) -> tuple[tuple[int, ...], ...]:
    """Return the free labels that occur in the same axes equally often, together."""
    where: dict[int, list[tuple[int, int]]] = {}
    for number, (axis, entries) in enumerate(labels.items()):
        for label, count in Counter(entries).items():
            if label in free:
                often = 1 if axis in unordered else count
                where.setdefault(label, []).append((number, often))
    found: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for entries in labels.values():
        for label in dict.fromkeys(entries):
            if label in where:
                found.setdefault(tuple(where.pop(label)), []).append(label)
    return tuple(map(tuple, found.values()))


_Places = Mapping[int, tuple[int, int]]


def _places(groups: Sequence[Sequence[int]]) -> _Places:
    """Return, by label, the group and the channel in it."""
    return {
        label: (group, channel)
        for group, channels in enumerate(groups)
        for channel, label in enumerate(channels)
    }


def _runs(entries: Sequence[int], places: _Places) -> tuple[list[Run], list[int]]:
    """Return the runs of an axis, and the groups whose channels lie otherwise."""
    sizes = Counter(group for group, _ in places.values())
    there = [places.get(label, (-1, 0)) for label in entries]
    runs, wrong, at = list[Run](), dict[int, None](), 0
    while at < len(there):
        group, channel = there[at]
        repeat = 1
        while group >= 0 and there[at + repeat : at + repeat + 1] == [(group, channel)]:
            repeat += 1
        size = 1 if group < 0 else sizes[group]
        run = [(group, each) for each in range(size) for _ in range(repeat)]
        if group >= 0 and there[at : at + len(run)] != run:
            wrong[group] = None
            group, size, repeat = -1, 1, 1
        runs.append(Run(group=group, size=size, repeat=repeat))
        at += size * repeat
    return runs, list(wrong)


def _merged(runs: Iterable[Run]) -> list[Run]:
    """Return the runs with neighbours that belong to no group as one."""
    found: list[Run] = []
    for run in runs:
        if found and run.group < 0 and found[-1].group < 0:
            found[-1] = Run(group=-1, size=found[-1].size + run.size)
        else:
            found.append(run)
    return found


def _blocks(runs: Sequence[Run]) -> tuple[tuple[Run, ...], int]:
    """Return the shortest block that the runs repeat, and how often."""
    for length in range(1, len(runs) + 1):
        blocks, rest = divmod(len(runs), length)
        if not rest and list(runs[:length]) * blocks == list(runs):
            return tuple(runs[:length]), blocks
    return tuple(runs), 1


def _together(
    entries: Sequence[int], places: _Places, group: int, groups: Sequence[Sequence[int]]
) -> list[Sequence[int]]:
    """Return the groups between the first and the last entry of one group on an axis, it first."""
    there = [places.get(label, (-1, 0))[0] for label in entries]
    last = len(there) - there[::-1].index(group)
    between = dict.fromkeys([group, *there[there.index(group) : last]])
    return [groups[each] for each in between if each >= 0]


def _coarser(
    labels: Mapping[Axis, Sequence[int]],
    free: Collection[int],
    unordered: Collection[Axis],
    together: Sequence[Sequence[int]],
) -> tuple[Mapping[Axis, Sequence[int]], set[int]] | None:
    """Return labels, and which are free, with some channels as one that lie in runs; else None."""
    for joined in _joins(together):
        tried = {a: [joined.get(label, label) for label in each] for a, each in labels.items()}
        left = {joined.get(label, label) for label in free}
        groups = _groups(tried, left, unordered)
        places, kept = _places(groups), set(joined.values())
        affected = {places[label][0] for label in kept}
        holding = [e for a, e in tried.items() if a not in unordered and kept.intersection(e)]
        if not any(affected.intersection(_runs(each, places)[1]) for each in holding):
            return tried, left
    return None


def _joins(together: Sequence[Sequence[int]]) -> Iterator[dict[int, int]]:
    """Yield ways to take channels together: a label for each, those with one label are joined."""
    if len(together) > 1:
        yield from tie(together)
        return
    (channels,) = together
    size = len(channels)
    divisors = [parts for parts in range(2, size) if size % parts == 0]
    for parts in divisors:
        rows = size // parts
        yield {label: channels[place % rows] for place, label in enumerate(channels)}
    for parts in divisors:
        yield {label: channels[place // parts * parts] for place, label in enumerate(channels)}


def tie(together: Sequence[Sequence[int]]) -> Iterator[dict[int, int]]:
    """Yield the way to take groups together, channel by channel; none if their sizes share no unit.

    Of a group of twice the channels, two go with one.
    """
    unit = math.gcd(*map(len, together))
    if unit > 1:
        first = together[0]
        step = len(first) // unit
        yield {
            label: first[place // (len(channels) // unit) * step]
            for channels in together
            for place, label in enumerate(channels)
        }
