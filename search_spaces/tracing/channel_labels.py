"""Channel labels: entries of tensors that are one channel carry one label, in any tensor."""

from __future__ import annotations

from collections.abc import Iterable

# An axis of a parameter or buffer by name, or another set of entries that channels pass.
Axis = tuple[str, int]


class ChannelLabels:
    """Entries of axes, joined where they belong to one channel (a union-find structure)."""

    def __init__(self) -> None:
        self._starts: dict[Axis, tuple[int, int]] = {}
        self._parents: list[int] = []
        self._marked: set[int] = set()

    def add(self, axis: Axis, size: int) -> None:
        """Make ``axis`` known, each of its ``size`` entries a channel of its own."""
        if axis not in self._starts:
            start = len(self._parents)
            self._starts[axis] = (start, size)
            self._parents.extend(range(start, start + size))

    def axes(self) -> tuple[Axis, ...]:
        """Return all axes in the order in which they became known."""
        return tuple(self._starts)

    def join(self, one: Axis, entry: int, other: Axis, its: int) -> None:
        """Say that two entries belong to one channel."""
        self.join_labels(self.label(one, entry), self.label(other, its))

    def join_labels(self, first: int, second: int) -> None:
        """Say that two labels are one channel's."""
        first, second = self._root(first), self._root(second)
        if first != second:
            self._parents[max(first, second)] = min(first, second)
            if max(first, second) in self._marked:
                self._marked.add(min(first, second))

    def mark(self, axis: Axis) -> None:
        """Mark the channels that the entries of ``axis`` belong to, now or later."""
        self._marked.update(self.labels(axis))

    def is_marked(self, label: int) -> bool:
        """Tell whether a channel of this label has been marked."""
        return label in self._marked

    def label(self, axis: Axis, entry: int) -> int:
        """Return the label of the channel that an entry belongs to; labels change with joins."""
        start, _ = self._starts[axis]
        return self._root(start + entry)

    def _root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node

    def labels(self, axis: Axis) -> list[int]:
        """Return the labels of all entries of ``axis``."""
        _, size = self._starts[axis]
        return [self.label(axis, entry) for entry in range(size)]

    def clusters(self, axes: Iterable[Axis]) -> list[list[Axis]]:
        """Return the given axes, those together that share a channel, in their order."""
        listed = list(axes)
        parents, holder = list(range(len(listed))), dict[int, int]()

        def root(place: int) -> int:
            while parents[place] != place:
                parents[place] = place = parents[parents[place]]
            return place

        for place, axis in enumerate(listed):
            for label in dict.fromkeys(self.labels(axis)):
                one, other = root(holder.setdefault(label, place)), root(place)
                parents[max(one, other)] = min(one, other)
        clusters: dict[int, list[Axis]] = {}
        for place, axis in enumerate(listed):
            clusters.setdefault(root(place), []).append(axis)
        return list(clusters.values())
