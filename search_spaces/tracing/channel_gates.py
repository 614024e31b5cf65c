"""Gate sites: where a factor closes a channel, whatever stands before the layers that read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import nn

from search_spaces.channel_groups import BatchNorm, ChannelGroup, is_plain_norm
from search_spaces.tracing.channel_discovery import Found
from search_spaces.tracing.channel_flow import Reading
from search_spaces.tracing.contractions import contraction
from search_spaces.tracing.operator_record import OperatorRecord


def gated_group(module: nn.Module, record: OperatorRecord, found: Found) -> ChannelGroup:
    """Return the group of ``found`` with its `ChannelGroup.gate`, seen on a run of ``module``.

    Its BatchNorms are the place if what reads the channels takes in zeros once they put out zeros.
    A Sigmoid in between, or a shortcut past them, lets something through: then the readers are.
    Where products of data by data read the channels and no weight does, the weights that make one
    of the two factors zero are the readers.
    """
    group = found.group
    assert group is not None
    if not any(member.reads for member in group.members):
        group = _with_readers(module, record, found, group)
    norms = _norms(module, group, (member.tensor for member in group.members))
    everywhere = {reading for readings in found.reached.values() for reading in readings}
    if norms and _closes(record, norms, everywhere):
        return group
    if any(member.reads for member in group.members):
        return replace(group, gate="readers")
    return replace(group, kept="nothing closes its channels: no weight reads them")


def _with_readers(
    module: nn.Module, record: OperatorRecord, found: Found, group: ChannelGroup
) -> ChannelGroup:
    for side in (1, 0):
        factors = {reading for reading in found.products if reading.side == side}
        makers = [name for (name, _), where in found.reached.items() if factors & set(where)]
        layers = [name for name in makers if name.rpartition(".")[2] in ("weight", "bias")]
        for names in (_norms(module, group, makers), layers):
            if names and factors and _closes(record, names, factors):
                members = tuple(
                    replace(member, reads=True) if member.tensor in names else member
                    for member in group.members
                )
                return replace(group, members=members)
    return group


def _norms(module: nn.Module, group: ChannelGroup, tensors: Iterable[str]) -> list[str]:
    """Return scale and shift of the group's BatchNorms among ``tensors``."""
    members = {member.tensor for member in group.members}
    found = []
    for name in tensors:
        path, _, leaf = name.rpartition(".")
        layer = module.get_submodule(path)
        if leaf == "weight" and isinstance(layer, BatchNorm) and is_plain_norm(layer):
            both = [name, f"{path}.bias" if path else "bias"]
            found += both if set(both) <= members else []
    return found


def _closes(record: OperatorRecord, names: list[str], readings: Iterable[Reading]) -> bool:
    """Tell whether zeros in these tensors make zeros of all that is read."""
    changed = {record.leaves[name]: torch.zeros_like(_leaf(record, name)) for name in names}
    result = record.run_again(changed, record.plainly)
    for reading in readings:
        product = contraction(record.operators[reading.place], record)
        assert product is not None
        factor = product.left if reading.side == 0 else product.right
        if bool(record.value(factor.place, result).any()):
            return False
    return True


def _leaf(record: OperatorRecord, name: str) -> torch.Tensor:
    return record.values[record.leaves[name]]
