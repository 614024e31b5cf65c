"""Declaration of traced channel groups: a module says of itself what a trace has found."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, named_tensors
from search_spaces.group_sizes import with_present_sizes


class _Declaration:
    """The method ``channel_groups()`` of a traced module; copies and pickles go with the module."""

    def __init__(self, owner: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
        self._owner = owner
        self._groups = groups

    def __deepcopy__(self, memo: dict[int, Any]) -> _Declaration:
        """Return the same of the copy of its module; the groups are never written."""
        return _Declaration(copy.deepcopy(self._owner, memo), self._groups)

    def __call__(self) -> tuple[ChannelGroup, ...]:
        """Return the groups with the sizes that the module's tensors have now.

        Members in units that are detached are left out, and groups that are all inside.
        """
        tensors = named_tensors(self._owner)
        present = (_present(group, tensors) for group in self._groups)
        return with_present_sizes([group for group in present if group.members], tensors)


def declare_groups(module: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
    """Make ``module`` declare groups that a trace of the same network has found."""
    module.channel_groups = _Declaration(module, groups)  # type: ignore[assignment]


def _present(group: ChannelGroup, tensors: dict[str, Tensor]) -> ChannelGroup:
    if all(member.tensor in tensors for member in group.members):
        return group
    members = tuple(member for member in group.members if member.tensor in tensors)
    return replace(group, members=members)
