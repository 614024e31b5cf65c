"""Prunable groups: which channels of a trained network may go, and why the others may not."""

from __future__ import annotations

from torch import nn

from growsearch.growth.gates.insertion import gate_place
from growsearch.growth.growing_groups import GrowingGroups
from search_spaces import ChannelGroup, SearchSpace, channel_groups
from search_spaces.channel_groups import frozen_member
from search_spaces.traced_space import OwnSpace


def prunable_groups(
    space: SearchSpace, module: nn.Module, *, gated: bool, timed: bool
) -> GrowingGroups:
    """Return which groups of ``module``, a network of ``space``, may lose channels.

    All may but those that frozen layers hold and those of which no channel can go without a change
    of the others (`ChannelGroup.kept`). Nothing has to be gated, so that groups without a norm are
    among them, unless ``gated`` says that gates decide. Widths that must be multiples are left as
    they are where a device is ``timed``: it is asked about networks of any widths.
    """
    frozen = frozenset(n for n, p in module.named_parameters() if not p.requires_grad)
    kept = dict(space.fixed_layers()) if isinstance(space, OwnSpace) else {}
    going: list[ChannelGroup] = []
    whole: list[ChannelGroup] = []
    for group in channel_groups(module):
        reason = _reason(module, group, frozen, gated=gated, timed=timed)
        if reason:
            kept[group.name] = reason
        (whole if reason else going).append(group)
    return GrowingGroups(groups=tuple(going), whole=tuple(whole), kept=kept)


def _reason(
    module: nn.Module, group: ChannelGroup, frozen: frozenset[str], *, gated: bool, timed: bool
) -> str:
    held = frozen_member(group, frozen)
    if held is not None:
        return f"{held} is frozen (requires_grad is False)"
    if group.kept:
        return group.kept
    if group.multiple > 1 and (gated or timed):
        return f"its width must stay a multiple of {group.multiple}"
    return "it has no place for a gate" if gated and gate_place(module, group) is None else ""
