"""Which channels are there to choose from? One flat numbering over the full configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from search_spaces import ChannelGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Structures:
    """The channels of all groups in a row: group 0's first, then group 1's, and so on.

    Every flat tensor of the growth package (live channels, scores, gates) has shape (total,) in
    this order.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, groups: Iterable[ChannelGroup]) -> Self:
        """Number the channels of ``groups`` at their present sizes."""
        groups = tuple(groups)
        return cls(
            names=tuple(group.name for group in groups), sizes=tuple(group.size for group in groups)
        )

    @property
    def total(self) -> int:
        """The number of channels of the full configuration, over all groups."""
        return sum(self.sizes)

    def starts(self) -> list[int]:
        """Return the flat position of every group's first channel."""
        return [sum(self.sizes[:group]) for group in range(len(self.sizes))]

    def group_of(self) -> list[int]:
        """Return, for every channel, the position of its group in `names`."""
        return [group for group, size in enumerate(self.sizes) for _ in range(size)]

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of a flat tensor (total,) by group name."""
        return dict(zip(self.names, torch.split(flat, list(self.sizes)), strict=True))

    def sums(self, flat: Tensor) -> list[float]:
        """Return the sum of every group's entries, in the order of `names`."""
        return [float(part.sum()) for part in torch.split(flat, list(self.sizes))]

    def counts(self, live: Tensor) -> list[int]:
        """Return every group's number of live channels, in the order of `names`."""
        return [int(part.sum()) for part in torch.split(live, list(self.sizes))]

    def widths(self, live: Tensor) -> dict[str, int]:
        """Return every group's number of live channels, by name."""
        return dict(zip(self.names, self.counts(live), strict=True))

    def indices(self, live: Tensor) -> dict[str, Tensor]:
        """Return every group's live channels as ascending positions within the group."""
        return {name: part.nonzero().flatten() for name, part in self.split(live).items()}

    def first_of_each(self) -> Tensor:
        """Return a flat mask (total,) of the first channel of every group."""
        mask = torch.zeros(self.total, dtype=torch.bool)
        for part in torch.split(mask, list(self.sizes)):
            part[0] = True
        return mask
