"""Growing groups: which channels of a network may come and go, and why the others may not."""

from __future__ import annotations

import functools
import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from torch import nn

from growsearch.errors import UsageError
from growsearch.growth.full_network import build_full
from growsearch.growth.gates.exactness import exactly_gated
from growsearch.growth.gates.insertion import gate_place
from search_spaces import ChannelGroup, SearchSpace, Unit, channel_groups
from search_spaces.channel_groups import frozen_member
from search_spaces.trace_groups import prove_groups
from search_spaces.traced_space import OwnSpace

_LOG = logging.getLogger(__name__)
# BatchNorm wants more than one example where it trains; what is tried is not trained.
_BATCH, _SPACES = 2, 64
_INEXACT = "its norms take their statistics in a way that gates cannot weigh"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingGroups:
    """The channel groups of a network, in two parts.

    ``groups`` grow. ``whole`` keep all of their channels, ``kept`` says why, by name; it also has
    layers of an own network that are in no group.
    """

    groups: tuple[ChannelGroup, ...]
    whole: tuple[ChannelGroup, ...]
    kept: Mapping[str, str]

    def check(self, module: nn.Module, units: tuple[Unit, ...] = ()) -> None:
        """Raise UsageError if nothing of ``module`` grows, no channel and none of ``units``."""
        if not self.groups and not units:
            reasons = "; ".join(f"{name!r}: {reason}" for name, reason in self.kept.items())
            raise UsageError(
                f"space: {type(module).__name__} cannot be grown: no channels of it may come and "
                f"go, and no branch: {reasons or 'it has no channel groups'}; give another "
                "network, or search sparse trials only"
            )

    def tell(self, space: str) -> None:
        """Log once a process which layers of ``space`` do not grow, and why: a line a reason."""
        alike: dict[str, list[str]] = {}
        for layer, reason in self.kept.items():
            alike.setdefault(reason.replace(layer, "it"), []).append(layer)
        for first, *others in alike.values():
            keep = f"and {len(others)} others keep their width" if others else "keeps its width"
            _told(space, f"{first} {keep}: {self.kept[first]}")

    def holding(self, reasons: Mapping[str, str]) -> GrowingGroups:
        """Return the same with the groups of these names at full width, for these reasons."""
        held = tuple(group for group in self.groups if group.name in reasons)
        return GrowingGroups(
            groups=tuple(group for group in self.groups if group.name not in reasons),
            whole=(*self.whole, *held),
            kept={**self.kept, **reasons},
        )

    def of_units(self, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        """Return those of ``units`` that may go, each with the groups inside that grow.

        Traced ones may whatever is inside. Of declared ones all channels must grow.
        """
        whole = {group.name for group in self.whole}
        return tuple(
            replace(unit, groups=tuple(name for name in unit.groups if name not in whole))
            for unit in units
            if unit.closing or not whole & set(unit.groups)
        )


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
    for group in _told_of_norms(space, module):
        reason = _reason(module, group, frozen)
        if reason:
            kept[group.name] = reason
        (whole if reason else growing).append(group)
    return GrowingGroups(groups=tuple(growing), whole=tuple(whole), kept=kept)


def _told_of_norms(space: SearchSpace, module: nn.Module) -> tuple[ChannelGroup, ...]:
    """Return the groups of ``module`` with what has been proven of those without a BatchNorm."""
    groups = channel_groups(module)
    if not isinstance(space, OwnSpace) and any(_unproven(module, group) for group in groups):
        known = _proven(_key(space))
        groups = tuple(_with(group, known[group.name]) for group in groups)
    normalised = {group.name for group in groups if group.normalised and not group.kept}
    inexact = normalised - _exact(_key(space)) if normalised else set()
    return tuple(
        replace(group, kept=_INEXACT) if group.name in inexact else group for group in groups
    )


def _unproven(module: nn.Module, group: ChannelGroup) -> bool:
    return group.gate == "norms" and gate_place(module, group) != "norms"


def _with(group: ChannelGroup, known: ChannelGroup) -> ChannelGroup:
    return replace(group, gate=known.gate, kept=known.kept, normalised=known.normalised)


def _key(space: SearchSpace) -> Hashable:
    return cast(Hashable, space)


@functools.lru_cache(maxsize=_SPACES)
def _proven(key: Hashable) -> Mapping[str, ChannelGroup]:
    space = cast(SearchSpace, key)
    module = build_full(space, seed=0)
    return {
        group.name: group for group in prove_groups(module, space.example_inputs(_BATCH)).groups
    }


@functools.lru_cache(maxsize=_SPACES)
def _exact(key: Hashable) -> frozenset[str]:
    """Return the groups whose norms can be gated: seen at the full network."""
    space = cast(SearchSpace, key)
    module = build_full(space, seed=0)
    groups = channel_groups(module)
    if not isinstance(space, OwnSpace) and any(_unproven(module, group) for group in groups):
        groups = tuple(_with(group, _proven(key)[group.name]) for group in groups)
    normalised = [group for group in groups if group.normalised and not group.kept]
    return frozenset(exactly_gated(module, normalised, space.example_inputs(_BATCH)))


@functools.cache
def _told(space: str, message: str) -> None:
    _LOG.warning("%s: %s", space, message)


def _reason(module: nn.Module, group: ChannelGroup, frozen: frozenset[str]) -> str:
    held = frozen_member(group, frozen)
    if held is not None:
        return f"{held} is frozen (requires_grad is False)"
    if group.multiple > 1:
        return f"its width must stay a multiple of {group.multiple}"
    return group.kept or ("" if gate_place(module, group) else "no layer reads its channels")
