"""Members of a channel group: axes of tensors, and which of their entries are which channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A run of entries of an axis: ``repeat`` of them side by side for each channel of a group.

    Without a ``group`` they are ``size`` entries that belong to no channel and never change (the
    colours of an image that is concatenated with feature maps).

    Example:
        >>> from search_spaces.axes.axis_parts import Part
        >>> Part(group="left", size=3, repeat=4).length
        12
    """

    size: int
    group: str = ""
    repeat: int = 1

    @property
    def length(self) -> int:
        """How many entries it has."""
        return self.size * self.repeat


def entries_of(channels: Tensor, repeat: int) -> Tensor:
    """Return the entries (n * repeat,) of ``channels`` (n,) within their own run."""
    return (channels.unsqueeze(1) * repeat + torch.arange(repeat)).flatten()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One axis of one parameter or buffer that follows a channel group.

    The axis holds ``blocks`` copies of the group one after another (the gates of an LSTM, feature
    maps flattened with channels innermost), and in each of them ``repeat`` consecutive entries
    belong to each channel (feature maps flattened with channels outermost).

    Where the axis holds channels of other groups as well (concatenated feature maps), or entries of
    none, ``parts`` are all that a block consists of, and ``place`` says which of them this is. What
    the parts of other groups say of their sizes holds for the module that declares the group.

    ``layer_groups`` says how many of its layer's own groups each channel is (a grouped convolution,
    a GroupNorm); their number then follows the channels.

    ``reads`` says that nothing hears of a channel whose entries here are 0: as a rule a layer takes
    the channels in here. None is what torch's layers have by convention, see `is_consumed`.

    Example:
        >>> import torch
        >>> from search_spaces import Member
        >>> flattened = Member(tensor="classifier.weight", axis=1, repeat=4)
        >>> flattened.entries(torch.tensor([0, 2]), size=3).tolist()
        [0, 1, 2, 3, 8, 9, 10, 11]
    """

    tensor: str
    axis: int
    repeat: int = 1
    blocks: int = 1
    reads: bool | None = None
    parts: tuple[Part, ...] = ()
    place: int = 0
    layer_groups: int = 0

    @property
    def entries_per_channel(self) -> int:
        """How many entries of the axis belong to one channel."""
        return self.blocks * self.repeat

    def entries(self, channels: Tensor, size: int) -> Tensor:
        """Return the positions on the axis of ``channels`` (n,), block by block.

        Args:
            channels: positions in a group that has ``size`` channels.
            size: channels of the group in the tensor that the positions are for.

        Returns:
            (blocks * n * repeat,), in the order in which a group of these channels alone has them.
        """
        within = entries_of(channels, self.repeat)
        before, block = 0, size * self.repeat
        if self.parts:
            own = self.parts[self.place].group
            lengths = [size * p.repeat if p.group == own else p.length for p in self.parts]
            before, block = sum(lengths[: self.place]), sum(lengths)
        starts = torch.arange(self.blocks).unsqueeze(1) * block + before
        return (starts + within).flatten()

    def parts_of(self, group: str, size: int) -> tuple[Part, ...]:
        """Return what a block of the axis consists of, this member's ``group`` included."""
        return self.parts or (Part(group=group, size=size, repeat=self.repeat),)


def gathered_entries(parts: Sequence[Part], blocks: int, chosen: Mapping[str, Tensor]) -> Tensor:
    """Return which entries an axis is made of once its groups have the ``chosen`` channels.

    Args:
        parts: what one block of the axis holds, in its order, at present sizes.
        blocks: how often that is repeated.
        chosen: positions (n,) by the names of groups, also more than there are or some of them
            twice; all channels of groups that are not named stay.

    Example:
        >>> import torch
        >>> from search_spaces.axes.axis_parts import Part, gathered_entries
        >>> axis = Part(group="a", size=2), Part(size=1), Part(group="b", size=2, repeat=2)
        >>> gathered_entries(axis, 1, {"a": torch.tensor([1]), "b": torch.tensor([0])}).tolist()
        [1, 2, 3, 4]
    """
    found, start = [], 0
    for part in parts:
        channels = chosen.get(part.group) if part.group else None
        if channels is None:
            channels = torch.arange(part.size)
        found.append(start + entries_of(channels, part.repeat))
        start += part.length
    starts = torch.arange(blocks).unsqueeze(1) * start
    return (starts + torch.cat(found)).flatten()


def with_sizes(parts: Sequence[Part], sizes: Mapping[str, int]) -> tuple[Part, ...]:
    """Return ``parts`` with these sizes of groups; others keep theirs."""
    return tuple(replace(part, size=sizes.get(part.group, part.size)) for part in parts)
