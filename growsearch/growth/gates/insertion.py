"""Gate insertion: gated layers for a network's own, one gate a channel group or unit."""

from __future__ import annotations

import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.growth.gates.gate import AxisFactor, Gate, GatedBatchNorm
from growsearch.growth.gates.reader import ReaderGates
from growsearch.growth.gates.recurrent import gated, sole_producers
from growsearch.growth.gates.statistics import gate_statistics
from search_spaces import ChannelGroup, Member, Unit
from search_spaces.channel_groups import (
    BatchNorm,
    Gating,
    group_batch_norms,
    is_consumed,
    is_plain_norm,
)


def insert_gates(
    module: nn.Module, groups: tuple[ChannelGroup, ...], units: tuple[Unit, ...] = ()
) -> dict[str, Gate]:
    """Put gates in the place that every group has for them, open ones first; return them by name.

    At a gate of 0 a channel is as good as removed. BatchNorms are gated, and recurrent layers and
    embeddings that make a group by themselves; where these would not close a channel, or there are
    none, the weights that read it. Norms over the channels of a group hear of a channel as far as
    its gate is open (`StatisticsGate`). The gate of a unit, of shape (1,), acts on the last
    BatchNorm inside it, or on the parameters that close it.

    Raises:
        UsageError: if a group has no such place.
    """
    gates = {group.name: Gate(torch.ones(group.size)) for group in groups}
    places = {group.name: gate_place(module, group) for group in groups}
    for group in groups:
        if group.kept or places[group.name] is None:
            raise _refused(module, group)
    behind = tuple(group for group in groups if places[group.name] == "norms")
    producers = list(sole_producers(module, behind))
    norms: dict[str, list[tuple[ChannelGroup, Member]]] = {}
    for name, _, group, member in _gateable(module, behind):
        norms.setdefault(name, []).append((group, member))
    for name, owners in norms.items():
        module.set_submodule(name, _gated_norm(module.get_submodule(name), owners, gates))
    for name, layer, group in producers:
        module.set_submodule(name, gated(layer, gates[group.name]))
    readers = tuple(group for group in groups if places[group.name] == "readers")
    gates |= {unit.name: Gate(torch.ones(1)) for unit in units}
    closed = tuple(unit for unit in units if unit.closing)
    if readers or closed:
        ReaderGates(module, readers, gates, closed)
        gate_statistics(module, readers, gates)
    for unit in units:
        if unit.closing:
            continue
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


def gate_place(module: nn.Module, group: ChannelGroup) -> Gating | None:
    """Return where a gate of ``group`` closes its channels, None if it has no such place.

    A group that declares its BatchNorms as the place and has none is gated where it is read.
    """
    behind = any(_gateable(module, (group,))) or any(sole_producers(module, (group,)))
    if group.gate == "norms" and behind and not group.normalised:
        return "norms"
    return "readers" if any(is_consumed(module, member) for member in group.members) else None


def _gateable(
    module: nn.Module, groups: tuple[ChannelGroup, ...]
) -> list[tuple[str, BatchNorm, ChannelGroup, Member]]:
    """Return the BatchNorms that take a gate into scale and shift."""
    found = group_batch_norms(module, groups)
    return [each for each in found if is_plain_norm(each[1]) and each[1].affine]


def _refused(module: nn.Module, group: ChannelGroup) -> UsageError:
    why = group.kept or "no layer reads its channels"
    return UsageError(
        f"space: {type(module).__name__} cannot be grown: of its channel group {group.name!r} "
        f"{why}; let it keep its width"
    )
