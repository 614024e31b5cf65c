"""Gate insertion: gated layers for a network's own, one gate a channel group or unit."""

from __future__ import annotations

import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.growth.gates.gate import AxisFactor, Gate, GatedBatchNorm
from growsearch.growth.gates.reader import ReaderGates
from growsearch.growth.gates.recurrent import gated, sole_producers
from search_spaces import ChannelGroup, Member, Unit
from search_spaces.channel_groups import (
    BatchNorm,
    group_batch_norms,
    is_consumed,
    is_plain_norm,
)
from search_spaces.tracing.found_groups import MIXING


def insert_gates(
    module: nn.Module, groups: tuple[ChannelGroup, ...], units: tuple[Unit, ...] = ()
) -> dict[str, Gate]:
    """Put gates in the place that every group names, open ones first; return them by name.

    At a gate of 0 a channel is as good as removed (`ChannelGroup.gate`). BatchNorms are gated, and
    recurrent layers and embeddings that make a group by themselves; or the weights that read a
    group's channels. The gate of a unit, of shape (1,), acts on the last BatchNorm inside it.

    Raises:
        UsageError: if a group has no such place.
    """
    gates = {group.name: Gate(torch.ones(group.size)) for group in groups}
    for group in groups:
        if group.kept or group.normalised:
            raise _refused(module, f"of its channel group {group.name!r} {group.kept or MIXING}")
        if not can_be_gated(module, group):
            raise _refused(module, f"its channel group {group.name!r} has no BatchNorm to gate")
    behind = tuple(group for group in groups if group.gate == "norms")
    producers = list(sole_producers(module, behind))
    norms: dict[str, list[tuple[ChannelGroup, Member]]] = {}
    for name, _, group, member in _gateable(module, behind):
        norms.setdefault(name, []).append((group, member))
    for name, owners in norms.items():
        module.set_submodule(name, _gated_norm(module.get_submodule(name), owners, gates))
    for name, layer, group in producers:
        module.set_submodule(name, gated(layer, gates[group.name]))
    readers = tuple(group for group in groups if group.gate == "readers")
    if readers:
        ReaderGates(module, readers, gates)
    for unit in units:
        gates[unit.name] = Gate(torch.ones(1))
        last = module.get_submodule(unit.norm)
        assert isinstance(last, GatedBatchNorm)
        last.unit_gate = gates[unit.name]
    return gates


def _gated_norm(
    norm: nn.Module, owners: list[tuple[ChannelGroup, Member]], gates: dict[str, Gate]
) -> GatedBatchNorm:
    """Return the norm with the gates of the groups whose channels it holds."""
    assert isinstance(norm, BatchNorm)
    (group, member), *_ = owners
    one_each = member.entries_per_channel == 1 and not member.parts
    return GatedBatchNorm(norm, gates[group.name], None if one_each else AxisFactor(owners, gates))


def can_be_gated(module: nn.Module, group: ChannelGroup) -> bool:
    """Tell whether ``group`` has the place that it names for its gate."""
    if group.gate == "readers":
        return any(is_consumed(module, member) for member in group.members)
    return any(_gateable(module, (group,))) or any(sole_producers(module, (group,)))


def _gateable(
    module: nn.Module, groups: tuple[ChannelGroup, ...]
) -> list[tuple[str, BatchNorm, ChannelGroup, Member]]:
    """Return the BatchNorms that take a gate into scale and shift."""
    found = group_batch_norms(module, groups)
    return [each for each in found if is_plain_norm(each[1]) and each[1].affine]


def _refused(module: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"space: {type(module).__name__} cannot be grown: {why}; choose a space with BatchNorm "
        "behind every layer, such as resnet20, or with recurrent layers, such as lstm-ptb"
    )
