"""Structures, the channels and units to choose from: one numbering over the full configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from search_spaces import ChannelGroup, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Structures:
    """The channels of all groups in a row, group 0's first, and behind them the units, one each.

    Every flat tensor of the growth package (live structures, scores, gates) has shape (total,) in
    this order. ``inside`` has, by unit, the groups whose channels live in that unit alone: they run
    only while the unit does. A group keeps at least one channel; a unit may be gone.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    inside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The position in `names` of every structure (total,): a policy sums up at every step.
    _places: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", torch.tensor(self.group_of(), dtype=torch.long))

    @classmethod
    def of(cls, groups: Iterable[ChannelGroup], units: Iterable[Unit] = ()) -> Self:
        """Number the channels of ``groups`` at their present sizes, then ``units``."""
        groups, units = tuple(groups), tuple(units)
        return cls(
            names=(*(group.name for group in groups), *(unit.name for unit in units)),
            sizes=(*(group.size for group in groups), *(1 for _ in units)),
            inside={unit.name: unit.groups for unit in units},
        )

    @property
    def total(self) -> int:
        """The number of structures of the full configuration."""
        return sum(self.sizes)

    @property
    def floors(self) -> tuple[int, ...]:
        """The least number of live structures by the order of `names`: 1, and 0 for a unit."""
        return tuple(0 if name in self.inside else 1 for name in self.names)

    def starts(self) -> list[int]:
        """Return the flat position of every name's first structure."""
        return [sum(self.sizes[:group]) for group in range(len(self.sizes))]

    def group_of(self) -> list[int]:
        """Return, for every structure, the position of its group or unit in `names`."""
        return [group for group, size in enumerate(self.sizes) for _ in range(size)]

    def groups_inside(self) -> dict[int, list[int]]:
        """Return `inside` by positions in `names`."""
        place = {name: index for index, name in enumerate(self.names)}
        return {place[unit]: [place[g] for g in groups] for unit, groups in self.inside.items()}

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of a flat tensor (total,) by name."""
        return dict(zip(self.names, torch.split(flat, list(self.sizes)), strict=True))

    def sums(self, flat: Tensor) -> list[float]:
        """Return the sum of every group's entries, in the order of `names`."""
        return self._sum(flat, torch.float64)

    def counts(self, live: Tensor) -> list[int]:
        """Return every name's number of live structures, in the order of `names`."""
        return self._sum(live, torch.long)

    def _sum(self, flat: Tensor, dtype: torch.dtype) -> list[Any]:
        totals = torch.zeros(len(self.sizes), dtype=dtype)
        return totals.index_add_(0, self._places, flat.to(dtype)).tolist()

    def widths(self, live: Tensor) -> dict[str, int]:
        """Return every name's number of live structures, by name."""
        return dict(zip(self.names, self.counts(live), strict=True))

    def indices(self, live: Tensor) -> dict[str, Tensor]:
        """Return the live structures of every name as ascending positions within it."""
        return {name: part.nonzero().flatten() for name, part in self.split(live).items()}

    def first(self, counts: Iterable[int]) -> Tensor:
        """Return a flat mask (total,) of so many first structures of every name."""
        mask = torch.zeros(self.total, dtype=torch.bool)
        for part, count in zip(torch.split(mask, list(self.sizes)), counts, strict=True):
            part[:count] = True
        return mask

    def first_of_each(self) -> Tensor:
        """Return a flat mask (total,) of the first channel of every group, and of no unit."""
        mask = torch.zeros(self.total, dtype=torch.bool)
        for name, part in self.split(mask).items():
            part[0] = name not in self.inside
        return mask

    def are_units(self) -> Tensor:
        """Return a flat mask (total,) of the units."""
        mask = torch.zeros(self.total, dtype=torch.bool)
        for name, part in self.split(mask).items():
            part[:] = name in self.inside
        return mask

    def running(self, live: Tensor) -> Tensor:
        """Return ``live`` (total,) without the channels inside units that are not live.

        A layer's indicator takes precedence over those of its filters (arXiv 2007.15353, Eq. 2).
        """
        result = live.clone()
        parts = self.split(result)
        for unit, groups in self.inside.items():
            for group in groups:
                parts[group] &= parts[unit]
        return result

    def seed(self) -> Tensor:
        """Return the least network (total,): one channel a group, no unit that may be gone."""
        return self.running(self.first_of_each())
