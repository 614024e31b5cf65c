"""How does a network change its widths while it trains, with nothing lost? All edits are here.

No other file of the package writes weights, BatchNorm statistics or optimizer state.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TypeGuard

import torch
from torch import Tensor, nn

from growsearch.growth.gate import Gate, GatedBatchNorm
from growsearch.growth.structures import Structures
from growsearch.training import Recipe, make_optimizer
from search_spaces import ChannelGroup
from search_spaces.channel_groups import axes_by_tensor, named_tensors, set_tensor, sync_attributes

# By the conventions of torch: axis 0 of a tensor is the layer's output, axis 1 its input.
_PRODUCED, _CONSUMED = 0, 1


class Surgeon:
    """Keeps the full configuration of every resizable tensor and runs a small part of it.

    The module holds only the live channels. Here lie, by tensor name, the full-size values and
    momenta of all channels that were ever live, and the initial draw of those that were not. The
    three state transitions of arXiv 2007.15353, section 3, come down to moving between the two.
    """

    def __init__(self, module: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
        self._module = module
        self.structures = Structures.of(groups)
        self._axes = axes_by_tensor(groups)
        tensors = named_tensors(module)
        self._initial = {name: tensors[name].detach().clone() for name in self._axes}
        self._values = {name: value.clone() for name, value in self._initial.items()}
        self._momenta = {
            name: torch.zeros_like(value)
            for name, value in self._initial.items()
            if isinstance(tensors[name], nn.Parameter)
        }
        self._depthwise = [name for name, m in module.named_modules() if _is_depthwise(m)]
        self.live = torch.ones(self.structures.total, dtype=torch.bool)
        self.created = self.live.clone()

    def seed(self, live: Tensor) -> None:
        """Shrink the fresh full network to ``live`` (total,); all other channels never existed."""
        self.created = live.clone()
        self.live = live.clone()
        self._gather()

    def restructure(self, live: Tensor, optimizer: torch.optim.Optimizer, recipe: Recipe) -> Tensor:
        """Make ``live`` (total,) the channels that run; return the mask of those created by it.

        - First time live: the initial random filter, consumers' weights zero, fresh BatchNorm, no
          momentum; the function of the network stays the same.
        - Not live any more: weights, statistics and momentum are kept here.
        - Live again: all of these return to their old place.

        ``optimizer`` is given the new parameters in place, each with its moved momentum.
        """
        momenta = momentum_by_name(self._module, optimizer)
        self._scatter(momenta)
        fresh = live & ~self.created
        self._create(fresh)
        self.created = self.created | live
        self.live = live.clone()
        self._gather()
        indices = self._indices()
        moved = {name: _pick(self._momenta[name], indices[name]) for name in self._momenta}
        rebuild_optimizer(self._module, optimizer, recipe, {**momenta, **moved})
        return fresh

    def full_values(self) -> dict[str, Tensor]:
        """Return copies of the full-size tensors, the live part as it is in the module now."""
        self._scatter({})
        return {name: value.clone() for name, value in self._values.items()}

    @torch.no_grad()
    def full_copy(self, gates: Mapping[str, Gate]) -> nn.Module:
        """Return a copy at full size that computes what the module does; the rest is attached.

        Channels that do not run have their weights or initial draw, consumers' weights of zero and
        open gates. The module itself stays as it is.
        """
        module, opened = copy.deepcopy((self._module, dict(gates)))
        values = self.full_values()
        live, dead = self.structures.split(self.live), self.structures.indices(~self.live)
        for name, axes in self._axes.items():
            for axis, group, repeat in axes:
                if axis == _CONSUMED:
                    values[name].index_fill_(axis, _expand(dead[group.name], repeat), 0.0)
            set_tensor(module, name, values[name])
        self._sync(module)
        for group_name, gate in opened.items():
            full = torch.ones(len(live[group_name]))
            full[live[group_name]] = gate.value.detach()
            gate.set(full)
        return module

    def consumer_gradients(self, full: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, for each weight of a `full_copy`, its input channels and gradients.

        The first is (channels,), positions in the flat numbering; the second (channels, weights of
        that channel). Weights without a gradient are left out.
        """
        starts = dict(zip(self.structures.names, self.structures.starts(), strict=True))
        parameters = dict(full.named_parameters())
        for name, axes in self._axes.items():
            gradient = parameters[name].grad if name in parameters else None
            for axis, group, _ in axes:
                if axis == _CONSUMED and gradient is not None:
                    channels = starts[group.name] + torch.arange(group.size)
                    yield channels, gradient.transpose(0, axis).reshape(group.size, -1)

    def _indices(self) -> dict[str, tuple[Tensor, ...]]:
        """Return, for each tensor, the live entries of every axis, shaped for advanced indexing."""
        live = self.structures.indices(self.live)
        found = {}
        for name, axes in self._axes.items():
            full = self._initial[name]
            entries = [torch.arange(size) for size in full.shape]
            for axis, group, repeat in axes:
                entries[axis] = _expand(live[group.name], repeat)
            found[name] = torch.meshgrid(*entries, indexing="ij")
        return found

    @torch.no_grad()
    def _scatter(self, momenta: Mapping[str, Tensor]) -> None:
        tensors = named_tensors(self._module)
        for name, index in self._indices().items():
            self._values[name][index] = tensors[name].detach()
            if name in momenta:
                self._momenta[name][index] = momenta[name]

    @torch.no_grad()
    def _gather(self) -> None:
        for name, index in self._indices().items():
            set_tensor(self._module, name, _pick(self._values[name], index))
        self._sync(self._module)

    def _sync(self, module: nn.Module) -> None:
        sync_attributes(module)
        for name in self._depthwise:
            # Of one channel, such a layer looks like any other: only here is it known what it is.
            layer = module.get_submodule(name)
            assert isinstance(layer, nn.modules.conv._ConvNd)
            layer.groups = layer.in_channels = layer.out_channels

    def _create(self, fresh: Tensor) -> None:
        """Draw nothing new: every channel's filter was drawn with the full configuration.

        Consumers go first, so that a fresh channel listens to the other fresh ones.
        """
        by_group = self.structures.indices(fresh)
        for role in (_CONSUMED, _PRODUCED):
            for name, axes in self._axes.items():
                for axis, group, repeat in axes:
                    if axis == role and len(by_group[group.name]):
                        self._reset(name, axis, _expand(by_group[group.name], repeat))

    def _reset(self, name: str, axis: int, entries: Tensor) -> None:
        if axis == _CONSUMED:
            self._values[name].index_fill_(axis, entries, 0.0)
        else:
            source = self._initial[name].index_select(axis, entries)
            self._values[name].index_copy_(axis, entries, source)
        if name in self._momenta:
            self._momenta[name].index_fill_(axis, entries, 0.0)


def _is_depthwise(layer: nn.Module) -> TypeGuard[nn.modules.conv._ConvNd]:
    return (
        isinstance(layer, nn.modules.conv._ConvNd)
        and 1 < layer.groups == layer.in_channels == layer.out_channels
    )


def _expand(channels: Tensor, repeat: int) -> Tensor:
    """Return the entries of channels that hold ``repeat`` consecutive entries each."""
    return (channels.unsqueeze(1) * repeat + torch.arange(repeat)).flatten()


def _pick(full: Tensor, index: tuple[Tensor, ...]) -> Tensor:
    return full[index].contiguous()


def momentum_by_name(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the momentum buffers that exist, by parameter name."""
    found = {}
    for name, parameter in module.named_parameters():
        buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            found[name] = buffer
    return found


def rebuild_optimizer(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    momenta: Mapping[str, Tensor],
) -> None:
    """Point ``optimizer`` at the module's present parameters, with momentum by name, in place."""
    fresh = make_optimizer(module, recipe)
    optimizer.state.clear()
    optimizer.param_groups[:] = fresh.param_groups
    for name, parameter in module.named_parameters():
        if name in momenta:
            optimizer.state[parameter]["momentum_buffer"] = momenta[name]


@torch.no_grad()
def fold_gates(module: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
    """Multiply every gate into its BatchNorms and put plain ones in their place.

    The function of the network stays the same, bit for bit. Momentum of scale and shift is scaled
    with them, so that a step with fixed gates would have had the same direction.
    """
    momenta = momentum_by_name(module, optimizer)
    for name, layer in list(module.named_modules()):
        if isinstance(layer, GatedBatchNorm):
            for leaf in (f"{name}.weight", f"{name}.bias"):
                if leaf in momenta:
                    momenta[leaf] = momenta[leaf] * layer.gate.value.detach()
            module.set_submodule(name, layer.folded())
    rebuild_optimizer(module, optimizer, recipe, momenta)


@torch.no_grad()
def recalibrate(module: nn.Module, batches: list[Tensor]) -> None:
    """Replace BatchNorm's running statistics by their averages over ``batches`` (N, ...) each."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    was_training = module.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    module.train()
    for inputs in batches:
        module(inputs)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    module.train(was_training)
