"""Exactness of gates, tried by function: closed ones make the network without the channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from growsearch.growth.gates.insertion import insert_gates
from search_spaces import ChannelGroup
from search_spaces.own_networks.whole_networks import copied
from search_spaces.randomness import random_state_kept
from search_spaces.tracing.channel_removal import keep_channels
from search_spaces.tracing.network_probe import module_by_module, network_probe
from search_spaces.tracing.operator_record import tensors_of

# Of the largest output. Norms of a network's own often compute in single precision whatever comes
# in; a gate that is not exact misses by much more.
_TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4}


def exactly_gated(
    module: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> set[str]:
    """Return the names of those ``groups`` whose gates, at 0, are as good as removed channels.

    Every other channel is closed, then the others, in a copy in which every channel matters; the
    outputs must be those of the network without them.

    Args:
        module: at full width, without gates. It stays as it is.
        groups: all are tried together, and one by one where that fails.
        inputs: batch first; values of floating inputs do not matter.
    """
    if not groups:
        return set()
    with random_state_kept(), module_by_module():
        generator = torch.Generator().manual_seed(0)
        probe, drawn = network_probe(module, inputs, generator, double=True)
        if _agree(probe, groups, drawn):
            return {group.name for group in groups}
        return {group.name for group in groups if _agree(probe, (group,), drawn)}


@torch.no_grad()
def _agree(probe: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]) -> bool:
    for first in (0, 1):
        live = {group.name: _kept(group, first) for group in groups}
        try:
            closed, smaller = copied(probe), copied(probe)
            gates = insert_gates(closed, tuple(groups))
            for group in groups:
                value = torch.zeros(group.size)
                value[live[group.name]] = 1.0
                gates[group.name].set(value)
            keep_channels(smaller, tuple(groups), live)
            pairs = zip(tensors_of(closed(*inputs)), tensors_of(smaller(*inputs)), strict=True)
            if not all(_close(one, other) for one, other in pairs):
                return False
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
            return False  # a width that the code relies on
    return True


def _kept(group: ChannelGroup, first: int) -> Tensor:
    """Return every other block of `ChannelGroup.multiple` channels; all of a single one."""
    blocks = torch.arange(group.size // group.multiple)
    blocks = blocks[first::2] if len(blocks) > 1 else blocks
    within = torch.arange(group.multiple)
    return (blocks.unsqueeze(1) * group.multiple + within).flatten()


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    tolerance = _TOLERANCES.get(one.dtype, _TOLERANCES[torch.float32])
    largest = float(one.nan_to_num(0, 0, 0).abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * largest, equal_nan=True)
