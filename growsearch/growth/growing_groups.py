"""Growing groups: which channels of a network may come and go, and why the others may not."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from growsearch.errors import UsageError
from growsearch.growth.gates.insertion import can_be_gated
from search_spaces import ChannelGroup, SearchSpace, Unit, channel_groups
from search_spaces.channel_groups import frozen_member
from search_spaces.traced_space import OwnSpace
from search_spaces.tracing.found_groups import MIXING

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingGroups:
    """The channel groups of a network, in two parts.

    ``groups`` grow. ``whole`` keep all of their channels, ``kept`` says why, by name; it also has
    layers of an own network that are in no group.
    """

    groups: tuple[ChannelGroup, ...]
    whole: tuple[ChannelGroup, ...]
    kept: Mapping[str, str]

    def check(self, module: nn.Module) -> None:
        """Raise UsageError if nothing of ``module`` grows."""
        if not self.groups:
            reasons = "; ".join(f"{name!r}: {reason}" for name, reason in self.kept.items())
            raise UsageError(
                f"space: {type(module).__name__} cannot be grown: no channels of it may come and "
                f"go: {reasons or 'it has no channel groups'}; give another network, or search "
                "sparse trials only"
            )

    def tell(self, space: str) -> None:
        """Log once a process which layers of ``space`` do not grow, and why."""
        for layer, reason in self.kept.items():
            _told(space, layer, reason)

    def of_units(self, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        """Return those of ``units`` whose channels may all go."""
        whole = {group.name for group in self.whole}
        return tuple(unit for unit in units if not whole & set(unit.groups))


def growing_groups(space: SearchSpace, module: nn.Module) -> GrowingGroups:
    """Return which groups of ``module``, a network of ``space``, grow; it may be none.

    Frozen layers (``requires_grad`` is False) keep their values and shapes: the groups that they
    put out or read do not grow. Nor do those of which no channel can go without a change of the
    others (`ChannelGroup.kept`).
    """
    frozen = frozenset(n for n, p in module.named_parameters() if not p.requires_grad)
    kept = dict(space.fixed_layers()) if isinstance(space, OwnSpace) else {}
    growing: list[ChannelGroup] = []
    whole: list[ChannelGroup] = []
    for group in channel_groups(module):
        reason = _reason(module, group, frozen)
        if reason:
            kept[group.name] = reason
        (whole if reason else growing).append(group)
    return GrowingGroups(groups=tuple(growing), whole=tuple(whole), kept=kept)


@functools.cache
def _told(space: str, layer: str, reason: str) -> None:
    _LOG.warning("%s: %s keeps its width: %s", space, layer, reason)


def _reason(module: nn.Module, group: ChannelGroup, frozen: frozenset[str]) -> str:
    held = frozen_member(group, frozen)
    if held is not None:
        return f"{held} is frozen (requires_grad is False)"
    if group.multiple > 1:
        return f"its width must stay a multiple of {group.multiple}"
    if group.normalised:
        return MIXING
    return group.kept or ("" if can_be_gated(module, group) else "it has no BatchNorm to gate")
