"""Surgeon: a network changes its widths and units while it trains, with nothing lost.

All edits are in this room, and the surgeon calls for them.
No other room of the package writes weights, BatchNorm statistics or optimizer state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.gate import Gate, GatedBatchNorm
from growsearch.growth.gates.reader import reader_gates
from growsearch.growth.gates.recurrent import GATED, reader_factors
from growsearch.growth.gates.statistics import statistics_gates
from growsearch.growth.surgery.identity_init import make_identity
from growsearch.growth.surgery.layer_sizes import LayerSizes
from growsearch.growth.surgery.optimizer_state import (
    is_first_moment,
    optimizer_state,
    parameter_of,
    rebuild_optimizer,
    start_value,
)
from growsearch.growth.surgery.row_norms import FullTensors, RowNorms
from growsearch.growth.surgery.scale_trial import ScaleFreeRows
from growsearch.metrics.placement import device_of
from growsearch.sparsity import mask_buffers
from growsearch.training import Recipe, tensors_under
from search_spaces import ChannelGroup, Unit
from search_spaces.channel_groups import (
    axes_by_tensor,
    entries_by_axis,
    is_consumed,
    named_tensors,
    set_tensors,
)
from search_spaces.own_networks.whole_networks import copied
from search_spaces.units import compact, detach, unit_layers, unit_tensors


class Surgeon:
    """Keeps the full configuration of every resizable tensor and runs a small part of it.

    The module holds only the live channels and units. Here lie, by tensor name, the full-size
    values and moments of all that were ever live, and the initial draw of those that were not: on
    the CPU, wherever the module is. The three state transitions of arXiv 2007.15353, section 3,
    come down to moving between the two.
    Where the module is ``trained``, what is created returns to its own weights, consumers' too.
    ``rows`` are those whose scale does not matter, and ``norms`` says what becomes of it at every
    change (see `RowNorms`).
    """

    def __init__(
        self,
        module: nn.Module,
        groups: tuple[ChannelGroup, ...],
        units: tuple[Unit, ...] = (),
        *,
        trained: bool = False,
        rows: Sequence[ScaleFreeRows] = (),
        norms: str = "kept",
    ) -> None:
        self._module = module
        self._trained = trained
        self.structures = Structures.of(groups, units)
        self._units = units
        self._layers = {unit.name: unit_layers(module, unit) for unit in units}
        self._absent: set[str] = set()
        tensors = named_tensors(module)
        inside = {name: unit.name for unit in units for name in unit_tensors(module, unit)}
        # Single numbers are counts of batches, or parameters.
        numbers = dict(module.named_parameters())
        self._unit_of = {n: unit for n, unit in inside.items() if tensors[n].ndim or n in numbers}
        # All tensors of a unit go with it, also those of which no channel belongs to a group.
        self._axes = dict.fromkeys(self._unit_of, ()) | axes_by_tensor(groups)
        # A mask follows its weight; what is created has the mask of its first draw.
        self._axes |= {
            mask: self._axes[name]
            for name, mask in mask_buffers(module).items()
            if name in self._axes
        }
        self._consumed = {
            (member.tensor, member.axis)
            for group in groups
            for member in group.members
            if is_consumed(module, member)
        }
        self._initial = {name: tensors[name].detach().cpu().clone() for name in self._axes}
        self._values = {name: value.clone() for name, value in self._initial.items()}
        # What the optimizer remembers, by `optimizer_state`'s keys: moments at full size.
        self._memory: dict[str, Tensor] = {}
        drawn = {free.weight: tensors[free.weight].detach() for free in rows}
        self._rows = RowNorms(rows, drawn | self._initial, norms)
        self._sizes = LayerSizes(module, groups)
        self.live = torch.ones(self.structures.total, dtype=torch.bool)
        self.created = self.live.clone()

    def seed(self, live: Tensor) -> None:
        """Shrink the fresh full network to ``live`` (total,); all the rest has never existed."""
        self.live = self.structures.running(live)
        self.created = self.live.clone()
        self._settle_rows({}, torch.zeros_like(self.live))
        self._gather()

    def restructure(self, live: Tensor, optimizer: torch.optim.Optimizer, recipe: Recipe) -> Tensor:
        """Make ``live`` (total,) the structures that run; return the mask of those created by it.

        - First time live: the initial random filter, consumers' weights zero, fresh BatchNorm, no
          momentum; the function of the network stays the same. So it does with a residual unit,
          whose last BatchNorm starts at zero (Goyal et al. 2017, section 5.1). A plain unit starts
          as the identity once `become_identities` has seen data.
        - Not live any more: weights, statistics and the optimizer's moments are kept here.
        - Live again: all of these return to their old place.

        Channels inside a unit that is not live do not run, whatever ``live`` says of them.
        ``optimizer`` is given the new parameters in place, each with its moved state.
        """
        memory = optimizer_state(self._module, optimizer)
        self._scatter(memory)
        live = self.structures.running(live)
        fresh = live & ~self.created
        self._create(fresh)
        self.created = self.created | live
        self.live = live
        self._settle_rows(memory, fresh)
        self._gather()
        rebuild_optimizer(self._module, optimizer, recipe, {**memory, **self._live_memory()})
        return fresh

    def plain_units(self, mask: Tensor) -> list[Unit]:
        """Return the units in ``mask`` (total,) without a shortcut that start as the identity."""
        chosen = self.structures.split(mask)
        plain = [unit for unit in self._units if chosen[unit.name] and not unit.residual]
        return [] if self._trained else plain

    def state(self, *, values: bool) -> dict[str, Tensor]:
        """Return the masks and, if asked for, all full-size values and moments."""
        masks = {"live": self.live, "created": self.created}
        if not values:
            return masks
        return {
            **masks,
            **{f"value/{name}": tensor for name, tensor in self._values.items()},
            **{f"memory/{key}": tensor for key, tensor in self._memory.items()},
            **{f"rows/{name}": tensor for name, tensor in self._rows.state().items()},
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned and give the module the shape of its live channels."""
        self.live, self.created = tensors["live"], tensors["created"]
        self._values |= tensors_under("value/", tensors)
        self._memory |= tensors_under("memory/", tensors)
        self._rows.load_state(tensors_under("rows/", tensors))
        self._gather()

    def full_values(self) -> dict[str, Tensor]:
        """Return copies of the full-size tensors, the live part as it is in the module now."""
        self._scatter({})
        return {name: value.clone() for name, value in self._values.items()}

    @torch.no_grad()
    def full_copy(self, gates: Mapping[str, Gate]) -> nn.Module:
        """Return a copy at full widths that computes what the module does; the rest is attached.

        Channels that do not run have their weights or initial draw, consumers' weights of zero and
        open gates; norms over channels do not hear of them. Units that do not run stay away. The
        module itself stays as it is.
        """
        module, opened = copied((self._module, dict(gates)))
        values = self.full_values()
        live, dead = self.structures.split(self.live), self.structures.indices(~self.live)
        for name, axes in self._axes.items():
            for axis, group, member in axes:
                if (name, axis) in self._consumed:
                    entries = member.entries(dead[group.name], group.size)
                    values[name].index_fill_(axis, entries, 0.0)
        device = device_of(module)
        set_tensors(
            module, {name: values[name].to(device) for name in self._axes if self._runs(name)}
        )
        widths = self.structures.widths(torch.ones_like(self.live))
        self._sizes.sync(module, widths, self._runs)
        for group_name, gate in opened.items():
            full = torch.ones(len(live[group_name]))
            full[live[group_name]] = gate.value.detach().cpu()
            gate.set(full.to(device))
        for norm in statistics_gates(module):
            norm.hear_only({name: mask.to(device) for name, mask in live.items()})
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
            for axis, group, member in axes:
                if gradient is not None and (name, axis) in self._consumed:
                    channels = torch.arange(group.size)
                    entries = member.entries(channels, group.size).to(gradient.device)
                    rows = gradient.transpose(0, axis)[entries]
                    blocks = rows.reshape(member.blocks, group.size, -1)
                    yield starts[group.name] + channels, blocks.transpose(0, 1).flatten(1)

    def _indices(self) -> dict[str, tuple[Tensor, ...]]:
        """Return the live entries of every axis of each tensor that runs, for advanced indexing."""
        live, found = self.structures.indices(self.live), {}
        for name in self._axes:
            if self._runs(name):
                entries = self._entries(name, live)
                found[name] = torch.meshgrid(*entries, indexing="ij") if entries else ()
        return found

    def _entries(self, name: str, live: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the entries of every axis of a tensor that the ``live`` channels leave."""
        entries = [torch.arange(size) for size in self._initial[name].shape]
        for axis, left in entries_by_axis(self._axes[name], live).items():
            entries[axis] = left
        return entries

    @torch.no_grad()
    def _settle_rows(self, memory: Mapping[str, Tensor], fresh: Tensor) -> None:
        """Have the rows that now run drawn and scaled, those of new plain units excepted.

        These start as the identity, which has a size of its own.
        """
        self._place_units(device_of(self._module))
        live, tensors = self.structures.indices(self.live), named_tensors(self._module)
        identities = {unit.name for unit in self.plain_units(fresh)}

        def entries(name: str) -> list[Tensor] | None:
            if name not in self._axes:
                return [torch.arange(size) for size in tensors[name].shape]
            return self._entries(name, live) if self._runs(name) else None

        def moments(name: str) -> dict[str, Tensor]:
            held = self._memory if name in self._axes else memory
            return {key: value for key, value in held.items() if parameter_of(key) == name}

        def value(name: str) -> Tensor:
            return self._values[name] if name in self._axes else tensors[name].detach()

        self._rows.settle(
            FullTensors(values=value, moments=moments, entries=entries),
            untouched=lambda name: self._unit_of.get(name) in identities,
        )

    @torch.no_grad()
    def _scatter(self, memory: Mapping[str, Tensor]) -> None:
        tensors, indices = named_tensors(self._module), self._indices()
        for name, index in indices.items():
            self._values[name][index] = tensors[name].detach().cpu()
        for key, part in memory.items():
            name = parameter_of(key)
            if name in indices and part.ndim:
                if key not in self._memory:
                    self._memory[key] = torch.zeros_like(self._initial[name])
                self._memory[key][indices[name]] = part.cpu()
            elif name in indices:
                self._memory[key] = part.cpu().clone()

    def _live_memory(self) -> dict[str, Tensor]:
        """Return the moments of what runs, and its counts of steps."""
        indices, layout = self._indices(), _layout(self._module)
        return {
            key: _pick(full, indices[parameter_of(key)], layout) if full.ndim else full.clone()
            for key, full in self._memory.items()
            if parameter_of(key) in indices
        }

    @torch.no_grad()
    def _gather(self) -> None:
        layout, device = _layout(self._module), device_of(self._module)
        self._place_units(device)
        indices = self._indices().items()
        live = {name: _pick(self._values[name], index, layout) for name, index in indices}
        set_tensors(self._module, {name: value.to(device) for name, value in live.items()})
        self._sizes.sync(self._module, self.structures.widths(self.live), self._runs)

    def _runs(self, tensor: str) -> bool:
        unit = self._unit_of.get(tensor)
        return unit is None or unit not in self._absent

    def _place_units(self, device: torch.device) -> None:
        """Take units that do not run out of the module, and put those that do in their place."""
        live = self.structures.split(self.live)
        for unit in self._units:
            layers = self._layers[unit.name]
            attached = unit_layers(self._module, unit) == layers
            if attached and not live[unit.name]:
                detach(self._module, unit)
            elif live[unit.name] and not attached:
                for path, each in layers.items():
                    back = each.to(device).train(self._module.training)
                    self._module.set_submodule(path, back)
        self._absent = {unit.name for unit in self._units if not live[unit.name]}

    def _create(self, fresh: Tensor) -> None:
        """Draw nothing new: every channel's filter was drawn with the full configuration.

        Consumers go first, so that a fresh channel listens to the other fresh ones.
        """
        by_name = self.structures.indices(fresh)
        for consumed in (True, False):
            for name, axes in self._axes.items():
                for axis, group, member in axes:
                    if ((name, axis) in self._consumed) is consumed:
                        entries = member.entries(by_name[group.name], group.size)
                        self._reset(name, axis, entries, consumed=consumed)
        for unit in self._units:
            if len(by_name[unit.name]):
                self._begin(unit)

    def _begin(self, unit: Unit) -> None:
        """Give a unit that is created its first weights.

        Those inside are the initial draw, also where they take in channels that are as new as the
        unit: with these at zero behind a BatchNorm at zero, nothing would ever learn.
        """
        for name in (name for name, owner in self._unit_of.items() if owner == unit.name):
            value = self._values[name].copy_(self._initial[name])
            if self._trained:
                continue
            if unit.residual and name in unit.last:
                value.zero_()
            elif not unit.residual and value.ndim > 1:
                make_identity(value)

    def _reset(self, name: str, axis: int, entries: Tensor, *, consumed: bool) -> None:
        """Give entries that are created their first values and moments.

        Trained ones lie there already, as large as the rows that they are of.
        """
        if consumed and not self._trained:
            self._values[name].index_fill_(axis, entries, 0.0)
        elif not self._trained:
            source = self._initial[name].index_select(axis, entries)
            self._values[name].index_copy_(axis, entries, source)
        for key, moments in self._memory.items():
            if parameter_of(key) == name and moments.ndim:
                moments.index_fill_(axis, entries, start_value(key, moments))


def _layout(module: nn.Module) -> torch.memory_format:
    """Return the memory format of the weights of images, which new ones then get as well."""
    for weight in module.parameters():
        # One channel of one pixel may be laid out either way.
        if weight.ndim == 4 and not weight.is_contiguous():
            return torch.channels_last
    return torch.contiguous_format


def _pick(full: Tensor, index: tuple[Tensor, ...], layout: torch.memory_format) -> Tensor:
    part = full[index] if index else full.clone()
    return part.contiguous(memory_format=layout if part.ndim == 4 else torch.contiguous_format)


@torch.no_grad()
def fold_gates(module: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
    """Multiply every gate into weights and put plain layers in the place of gated ones.

    A BatchNorm takes its gate into scale and shift: the function of the network stays the same, bit
    for bit. A recurrent layer's or embedding's goes into the weights that read it: the same up to
    rounding. First moments are scaled with them, so that a step with fixed gates would have had the
    same direction. Places of detached units are closed for good.
    """
    memory, factors = optimizer_state(module, optimizer), dict(reader_factors(module))
    for gates in reader_gates(module):
        for name, factor in gates.factors(module).items():
            factors[name] = factor.detach() * factors.get(name, 1.0)
        gates.remove()
    for norm in list(statistics_gates(module)):
        norm.remove()
    for name, factor in factors.items():
        module.get_parameter(name).mul_(factor)
    for name, layer in list(module.named_modules()):
        if isinstance(layer, GatedBatchNorm):
            for leaf in (f"{name}.weight", f"{name}.bias"):
                factors[leaf] = layer.factor().detach() * factors.get(leaf, 1.0)
            module.set_submodule(name, layer.folded())
        elif isinstance(layer, GATED):
            module.set_submodule(name, layer.plain())
    scaled = {
        key: value * factors[parameter_of(key)]
        for key, value in memory.items()
        if is_first_moment(key) and parameter_of(key) in factors
    }
    rebuild_optimizer(module, optimizer, recipe, {**memory, **scaled})
    compact(module)
