"""Widths of Sparse Wide, for every channel group."""

from __future__ import annotations

import math
from collections.abc import Sequence

from growsearch.errors import UsageError
from growsearch.transforms.expansion import ROUNDING_SLACK
from search_spaces import ChannelGroup


def wide_widths(
    groups: Sequence[ChannelGroup], sparsity: float, multiple: int = 1
) -> dict[str, int]:
    """Return every group's width times k_sw = sqrt(1 / (1 - s)) (arXiv 2303.11525, section 2.2).

    Where all widths are multiples of the smallest, that base is floored and the others keep their
    ratio to it (ResNet: 64 128 -> 90 180 at s = 0.5); else each width is floored on its own. A
    group whose channels are whole groups of convolutions or norms is floored on its own as well. A
    group with a ``multiple`` is then rounded up to it (GPT-3 Small: 768 3072 -> 1092 4344). Where
    a pattern asks for a ``multiple`` above 1, each width is rounded to the nearest on its own.

    Raises:
        UsageError: if ``sparsity`` is outside [0, 1).

    Example:
        >>> from growsearch.transforms import wide_widths
        >>> from search_spaces import ChannelGroup
        >>> groups = [ChannelGroup(name=f"stage{i}", size=64 * 2**i, members=()) for i in range(2)]
        >>> wide_widths(groups, sparsity=0.5)
        {'stage0': 90, 'stage1': 180}
    """
    if not 0.0 <= sparsity < 1.0:
        raise UsageError(f"sparsity: {sparsity} is outside [0, 1)")
    if sparsity == 0.0:
        return {group.name: group.size for group in groups}
    factor = math.sqrt(1.0 / (1.0 - sparsity))
    if multiple > 1:
        return {group.name: _nearest(group, factor, multiple) for group in groups}
    plain = [group for group in groups if not _is_of_layer_groups(group)]
    base = min((group.size for group in plain), default=0)
    if any(group.size % base for group in plain):
        base = 0
    return {
        group.name: _wide(group, factor, 0 if _is_of_layer_groups(group) else base)
        for group in groups
    }


def _is_of_layer_groups(group: ChannelGroup) -> bool:
    return any(member.layer_groups for member in group.members)


def _nearest(group: ChannelGroup, factor: float, multiple: int) -> int:
    unit = math.lcm(group.multiple, multiple)
    return max(1, round(group.size * factor / unit)) * unit


def _wide(group: ChannelGroup, factor: float, base: int) -> int:
    unit = base or group.size
    size = math.floor(unit * factor + ROUNDING_SLACK) * (group.size // unit)
    return -(-size // group.multiple) * group.multiple
