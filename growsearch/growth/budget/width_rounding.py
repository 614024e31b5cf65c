"""Width rounding: channels in groups of 8, 16, ..., since a processor computes whole vectors.

A convolution of 9 channels takes an AVX2 processor as long as one of 16: its registers hold 8
float32 values, and what is left of the second one is computed for nothing.
"""

from __future__ import annotations

from torch import Tensor

from growsearch.growth.budget.projection import BudgetProjection


def round_widths(
    projection: BudgetProjection, live: Tensor, scores: Tensor, multiple: int, *, fill: bool
) -> Tensor:
    """Return the network nearest to ``live`` (total,) whose groups have whole blocks of channels.

    Every group that runs is rounded to the nearest multiple, at least one and at most all of its
    channels. Then the blocks of lowest mean score (total,) go until the limit is kept, and with
    ``fill`` those of highest mean score come in as long as they fit. Within a group the live
    channels come first, and among them those of the highest score.

    Where the limit does not allow one block a group, ``live`` is returned as it is.
    """
    if multiple == 1:
        return live
    blocks = _Blocks(projection, live, scores, multiple)
    if not blocks.drop_to_limit():
        return live
    if fill:
        blocks.fill_to_limit()
    return blocks.live()


class _Blocks:
    """The number of channels of every group, moved one block up or down at a time."""

    def __init__(
        self, projection: BudgetProjection, live: Tensor, scores: Tensor, multiple: int
    ) -> None:
        structures = self._structures = projection.structures
        self._projection, self._live, self._multiple = projection, live, multiple
        self._counts: list[int] = structures.counts(live)
        masks, ranks = structures.split(live), structures.split(scores)
        self._scores: list[list[float]] = [ranks[name].tolist() for name in structures.names]
        # Channels by the order in which a group takes them in: a live one before any other.
        self._order = [
            [c for *_, c in sorted((not masks[n][c], -rank, c) for c, rank in enumerate(own))]
            for n, own in zip(structures.names, self._scores, strict=True)
        ]
        self._groups = [
            index
            for index, name in enumerate(structures.names)
            if name not in structures.inside and self._counts[index]
        ]
        for group in self._groups:
            self._counts[group] = self._nearest(group)

    def live(self) -> Tensor:
        result = self._live.clone()
        parts = self._structures.split(result)
        for group in self._groups:
            part = parts[self._structures.names[group]]
            part[:] = False
            part[self._order[group][: self._counts[group]]] = True
        return result

    def drop_to_limit(self) -> bool:
        """Drop blocks until the limit is kept; False if that takes a group's last one."""
        while self._cost() > self._projection.limit:
            droppable = [g for g in self._groups if self._counts[g] > self._least(g)]
            if not droppable:
                return False
            group = min(droppable, key=lambda g: self._mean(g, self._below(g), self._counts[g]))
            self._counts[group] = self._below(group)
        return True

    def fill_to_limit(self) -> None:
        """Take blocks in as long as they fit."""
        open_groups = set(self._groups)
        while open_groups:
            open_groups = {g for g in open_groups if self._counts[g] < self._size(g)}
            if not open_groups:
                break
            group = max(
                sorted(open_groups), key=lambda g: self._mean(g, self._counts[g], self._above(g))
            )
            before = self._counts[group]
            self._counts[group] = self._above(group)
            if self._cost() > self._projection.limit:
                self._counts[group] = before
                open_groups.discard(group)

    def _cost(self) -> float:
        return self._projection.terms.exact(self._counts)

    def _size(self, group: int) -> int:
        return self._structures.sizes[group]

    def _least(self, group: int) -> int:
        return min(self._multiple, self._size(group))

    def _nearest(self, group: int) -> int:
        """Return the multiple, or the whole group, that is nearest; the larger one of two."""
        size, count = self._size(group), self._counts[group]
        allowed = [*range(self._multiple, size, self._multiple), size]
        nearest: int = min(allowed, key=lambda width: (abs(width - count), -width))
        return nearest

    def _below(self, group: int) -> int:
        """Return the largest multiple below the present count."""
        return (self._counts[group] - 1) // self._multiple * self._multiple

    def _above(self, group: int) -> int:
        return min(self._size(group), (self._counts[group] // self._multiple + 1) * self._multiple)

    def _mean(self, group: int, start: int, stop: int) -> float:
        """Return the mean score of the channels that the group takes in from start to stop."""
        scores = self._scores[group]
        return sum(scores[c] for c in self._order[group][start:stop]) / (stop - start)
