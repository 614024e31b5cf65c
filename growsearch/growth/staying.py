"""Staying layers: what cannot grow, why, and what share of the full network's cost it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import cost_models
from search_spaces import ChannelGroup, Unit, resize
from search_spaces.channel_groups import is_consumed, named_tensors
from search_spaces.own_networks.whole_networks import copied
from search_spaces.units import detach

# The file of these lines in a trial's folder.
KEPT = "kept"
# How many are named in one message.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Staying:
    """A layer or group at its full width: its name, the reason, and shares of the full network.

    ``parameters`` and ``macs`` are what its layers still cost in the least network, where all else
    has one channel a group. A layer that makes the channels of one group and reads another's
    counts for the one that it makes.

    Example:
        >>> from growsearch.growth import Staying
        >>> Staying(name="stem", reason="it is frozen", parameters=0.02, macs=0.104).line()
        {'name': 'stem', 'reason': 'it is frozen', 'parameters': 0.02, 'macs': 0.104}
    """

    name: str
    reason: str
    parameters: float
    macs: float

    def line(self) -> dict[str, Any]:
        """Return it as plain JSON data, shares to four digits."""
        return {
            "name": self.name,
            "reason": self.reason,
            "parameters": float(f"{self.parameters:.4g}"),
            "macs": float(f"{self.macs:.4g}"),
        }


def staying_layers(
    module: nn.Module,
    whole: Sequence[ChannelGroup],
    kept: Mapping[str, str],
    least: Least,
) -> tuple[Staying, ...]:
    """Return what ``kept`` names, the dearest first.

    Args:
        module: the full network.
        whole: those of its groups that keep all of their channels.
        kept: why, by the names of groups and by the paths of layers.
        least: how it is made as small as it gets.
    """
    if not kept:
        return ()
    small = least.network(module)
    owners = _Owners(small, whole, kept)
    parameters = _shares(
        owners,
        ((name.rpartition(".")[0], tensor.numel()) for name, tensor in small.named_parameters()),
        sum(parameter.numel() for parameter in module.parameters()),
    )
    macs = _shares(owners, least.macs(small), sum(count for _, count in least.macs(copied(module))))
    found = [
        Staying(name=name, reason=reason, parameters=parameters[name], macs=macs[name])
        for name, reason in kept.items()
    ]
    return tuple(sorted(found, key=lambda each: -max(each.macs, each.parameters)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """How the least network is made of the full one: one channel a growing group, no unit."""

    groups: tuple[ChannelGroup, ...]
    units: tuple[Unit, ...]
    example_inputs: tuple[Tensor, ...]

    @torch.no_grad()
    def network(self, module: nn.Module) -> nn.Module:
        """Return a small copy of ``module`` with finite values."""
        small = copied(module)
        full = {name: tensor.shape for name, tensor in named_tensors(small).items()}
        resize(small, {g.name: g.multiple for g in self.groups if g.multiple < g.size})
        for name, tensor in named_tensors(small).items():
            if tensor.shape != full[name]:
                tensor.detach().fill_(0.01)
        for unit in self.units:
            detach(small, unit)
        return small

    def macs(self, module: nn.Module) -> list[tuple[str, int]]:
        """Return the MACs of one example by the path of the layer."""
        work = cost_models.trace(module, self.example_inputs)
        return [(layer.name, layer.dense_macs) for layer in work.layers]


class _Owners:
    """Which of the staying layers and groups a layer's cost is to be put down to."""

    def __init__(
        self, module: nn.Module, whole: Iterable[ChannelGroup], kept: Mapping[str, str]
    ) -> None:
        self._kept = list(kept)
        self._makes: dict[str, str] = {}
        self._reads: dict[str, str] = {}
        tensors = named_tensors(module)
        for group in whole:
            for member in group.members:
                if member.tensor not in tensors:
                    continue
                side = self._reads if is_consumed(module, member) else self._makes
                side.setdefault(member.tensor.rpartition(".")[0], group.name)

    def owner(self, layer: str) -> str | None:
        """Return the name that stands for ``layer``, a path; None if it is as small as it gets."""
        for name in self._kept:
            if f"{layer}.".startswith(f"{name}."):
                return name
        if layer in self._makes or layer in self._reads:
            return self._makes.get(layer) or self._reads[layer]
        # Products between layers have the name of the module that does them.
        return next((name for name in self._kept if layer and name.startswith(f"{layer}.")), None)


def _shares(owners: _Owners, costs: Iterable[tuple[str, int]], full: int) -> dict[str, float]:
    found: dict[str, float] = dict.fromkeys(owners._kept, 0.0)
    for layer, cost in costs:
        owner = owners.owner(layer)
        if owner is not None and full:
            found[owner] += cost / full
    return found


def largest_words(staying: Sequence[Staying], metric: str) -> str:
    """Return the largest of what stays for a message, nothing if nothing stays.

    Example:
        >>> from growsearch.growth.staying import Staying, largest_words
        >>> stem = Staying(name="stem", reason="it is frozen", parameters=0.02, macs=0.104)
        >>> largest_words([stem], "macs")
        "'stem' holds 10.4 % of the MACs (it is frozen)"
    """
    by_parameters = metric == "parameters"
    share = {each.name: each.parameters if by_parameters else each.macs for each in staying}
    ordered = sorted(staying, key=lambda each: -share[each.name])[:_NAMED]
    unit = "parameters" if by_parameters else "MACs"
    told = [f"{each.name!r} holds {100 * share[each.name]:.3g} % of the {unit}" for each in ordered]
    return "; ".join(f"{text} ({each.reason})" for text, each in zip(told, ordered, strict=True))
