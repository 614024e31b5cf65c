"""Gate insertion: gated layers for a network's own, one gate a channel group or unit."""

from __future__ import annotations

import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.growth.gates.gate import Gate, GatedBatchNorm
from growsearch.growth.gates.recurrent import gated, sole_producers
from search_spaces import ChannelGroup, Unit
from search_spaces.channel_groups import group_batch_norms


def insert_gates(
    module: nn.Module, groups: tuple[ChannelGroup, ...], units: tuple[Unit, ...] = ()
) -> dict[str, Gate]:
    """Put gated layers in the place of every group's, open gates first; return gates by name.

    BatchNorms are gated, and recurrent layers and embeddings that make a group by themselves. The
    gate of a unit, of shape (1,), acts on the last BatchNorm inside it.

    Raises:
        UsageError: if a group has neither, nor a BatchNorm with scale and shift.
    """
    gates = {group.name: Gate(torch.ones(group.size)) for group in groups}
    found = list(group_batch_norms(module, groups))
    producers = list(sole_producers(module, groups))
    without = set(gates) - {group.name for _, norm, group in found if norm.affine}
    without -= {group.name for _, _, group in producers}
    if without:
        raise UsageError(
            f"space: {type(module).__name__} cannot be grown: its channel group "
            f"{sorted(without)[0]!r} has no BatchNorm to gate; choose a space with BatchNorm "
            "behind every layer, such as resnet20, or with recurrent layers, such as lstm-ptb"
        )
    for name, norm, group in found:
        module.set_submodule(name, GatedBatchNorm(norm, gates[group.name]))
    for name, layer, group in producers:
        module.set_submodule(name, gated(layer, gates[group.name]))
    for unit in units:
        gates[unit.name] = Gate(torch.ones(1))
        last = module.get_submodule(unit.norm)
        assert isinstance(last, GatedBatchNorm)
        last.unit_gate = gates[unit.name]
    return gates
