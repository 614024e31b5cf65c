"""Discovery of channel groups: tensors whose entries are proven to be one layer's channels."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import named_tensors
from search_spaces.tracing.channel_flow import MIXED, UNMOVED, ChannelFlow, Reached, Reading
from search_spaces.tracing.channel_labels import Axis
from search_spaces.tracing.channel_sources import Source
from search_spaces.tracing.found_groups import OUTPUTS, Joined, layer_of
from search_spaces.tracing.operator_record import OperatorRecord


def discover_channels(
    module: nn.Module,
    record: OperatorRecord,
    generator: torch.Generator,
    norms: Collection[str] = (),
) -> Joined:
    """Perturb the channels of every layer of ``module`` and return which entries belong together.

    Args:
        module: it is not run; its layers give the names.
        record: of a run in evaluation mode on inputs with values that differ.
        generator: draws perturbations.
        norms: the paths of modules that do no more than normalise over channels.
    """
    return _Discovery(module, ChannelFlow(record, generator, frozenset(norms))).joined()


class _Discovery:
    """Joins what moves together into channels."""

    def __init__(self, module: nn.Module, flow: ChannelFlow) -> None:
        self._flow = flow
        self._module = module
        self._tensors = named_tensors(module)
        self._joined = Joined(norms=flow.norms)
        # By convolutions in groups, the axis of their weight, and what no layer has put in.
        self._weights: dict[Axis, Axis] = {}
        self._inputs: dict[Axis, set[int]] = {}

    def joined(self) -> Joined:
        layers = self._flow.sources.layers()
        for source in layers:
            self._joined.labels.add(_axis_of(source), source.size)
            self._joined.labels.mark(_axis_of(source))
        # Layers of one channel last: whether theirs is a channel or a mask, the others tell.
        for source in sorted(layers, key=lambda each: each.size == 1):
            self._join_layer(source, self._flow.reached(source))
        for source in self._flow.sources.parameters():
            self._join_parameter(source, self._flow.reached(source))
        self._join_heads()
        for target, unheard in self._inputs.items():
            if unheard:
                self._joined.note(
                    self._weights[target], "it reads inputs of the network in groups of channels"
                )
        return self._joined

    def _join_layer(self, source: Source, reached: Reached) -> None:
        axis = _axis_of(source)
        self._joined.layers[axis] = source
        self._join_beside(axis, source, reached)
        if not source.tensor:
            self._joined.note(axis, f"its weight is computed at every call from {source.label}")
        if reached.outputs:
            self._joined.note(axis, OUTPUTS)
        if reached.statistics:
            scopes = self._flow.record.scopes
            self._joined.mixed[axis] = frozenset(scopes[place] for place in reached.statistics)
        for reading, channels in reached.readings.items():
            if bool((channels == MIXED).any()):
                self._joined.note(
                    axis, f"between it and {self._reader(reading)} channels are mixed"
                )
                continue
            target = self._target(axis, reading, channels)
            if target is not None:
                self._joined.targets[reading] = target
                heard = (channels != UNMOVED).nonzero().flatten().tolist()
                self._inputs.get(target[0], set()).difference_update(heard)
            if target is not None and not self._is_spread(axis, source, target, channels):
                self._join(axis, reached.numbers, target, channels)

    def _join_beside(self, axis: Axis, source: Source, reached: Reached) -> None:
        self._joined.reached[axis] = tuple(reached.readings)
        for name in source.also:
            entries = self._entries_beside(source, name)
            self._joined.reached[(name, 0)] = self._joined.reached[axis]
            self._joined.labels.add((name, 0), len(entries))
            for its, entry in enumerate(entries):
                self._joined.labels.join(axis, entry, (name, 0), its)

    def _entries_beside(self, source: Source, name: str) -> list[int]:
        """Return the entry of a source's axis for each of a vector that goes with it.

        A bias has one for each output, and of these one entry may make several.
        """
        size = len(self._tensors[name])
        made = (entries.flatten() for _, _, entries in source.makers)
        of_outputs = next((e for e in made if len(e) == size), torch.arange(source.size))
        return [int(entry) for entry in of_outputs]

    def _target(self, axis: Axis, reading: Reading, channels: Tensor) -> tuple[Axis, Tensor] | None:
        """Return the axis that is read and its entry for each of the reader's; None if unknown."""
        if self._flow.is_in_groups(reading):
            target = self._in_groups(reading, len(channels))
            if target is None:
                self._joined.note(axis, f"{self._reader(reading)} {_COMPUTED}")
                return None
            return target, torch.arange(len(channels))
        if self._flow.is_product_of_data(reading):
            target = (f"product {reading.place}", 0)
            self._joined.labels.add(target, len(channels))
            self._joined.products.setdefault(target, {})[reading] = None
            return target, torch.arange(len(channels))
        weight = self._flow.weight_axis(reading)
        if weight is None:
            self._joined.note(axis, f"{self._reader(reading)} {_COMPUTED}")
            return None
        target = (weight.tensor, weight.axis)
        self._joined.labels.add(target, self._tensors[weight.tensor].shape[weight.axis])
        self._joined.reads.add(target)
        return target, weight.entries.flatten()

    def _in_groups(self, reading: Reading, size: int) -> Axis | None:
        """Return the entries that a layer takes in in groups, those of each as one channel.

        Its own groups go with them: the outputs of a convolution's. None if its weight is computed.
        """
        target = (f"groups at {reading.place}", 0)
        if target in self._joined.grouped:
            return target
        count, weight = self._flow.groups(reading)
        convolution = reading.place in self._flow.sources.contractions
        if convolution and (weight is None or self._flow.is_product_of_data(reading)):
            return None
        labels, length = self._joined.labels, size // count
        labels.add(target, size)
        for entry in range(size):
            labels.join(target, entry // length * length, target, entry)
        self._joined.grouped.add(target)
        if weight is None:
            return target
        axis = (weight.tensor, weight.axis)
        entries = weight.entries.tolist()
        self._joined.group_lengths[axis] = len(entries) // count
        if convolution:
            labels.add(axis, len(entries))
            for place, entry in enumerate(entries):
                labels.join(target, place // (len(entries) // count) * length, axis, entry)
            self._weights[target], self._inputs[target] = axis, set(range(size))
        return target

    def _is_spread(
        self, axis: Axis, source: Source, target: tuple[Axis, Tensor], channels: Tensor
    ) -> bool:
        """Tell, and note, whether one channel acts on many channels of others, as a mask does."""
        where, entries = target
        touched = {
            self._joined.labels.label(where, int(entry))
            for entry, channel in zip(entries, channels, strict=True)
            if channel != UNMOVED
        }
        if source.size > 1 or len(touched) == 1 or len(touched) == len(entries) == 1:
            return False
        own = {
            label
            for other in self._joined.layers
            if other != axis
            for label in self._joined.labels.labels(other)
        }
        if touched & own:
            self._joined.note(axis, "its one channel acts on many")
            return True
        return False

    def _join(
        self, axis: Axis, numbers: Tensor, target: tuple[Axis, Tensor], channels: Tensor
    ) -> None:
        where, entries = target
        first = {int(number): entry for entry, number in reversed(list(enumerate(numbers)))}
        for entry, number in enumerate(numbers.tolist()):
            self._joined.labels.join(axis, first[number], axis, entry)
        for entry, channel in zip(entries.tolist(), channels.tolist(), strict=True):
            if channel != UNMOVED:
                self._joined.labels.join(axis, first[channel], where, entry)

    def _join_parameter(self, source: Source, reached: Reached) -> None:
        """Join an axis of a parameter that follows channels of layers, entry by entry.

        Some entries may follow what no layer puts out: inputs that are concatenated with channels.
        """
        axis = _axis_of(source)
        acted, of_layers, targets = set[int](), False, []
        for reading, channels in reached.readings.items():
            if bool((channels == MIXED).any()):
                return
            target = self._parameter_target(reading, channels)
            if target is None:
                continue
            targets.append((target, channels))
            where, entries = target
            # One entry acts on one channel of a reader; a position would act on all of them.
            found: dict[int, int] = {}
            for entry, channel in zip(entries.tolist(), channels.tolist(), strict=True):
                if channel != UNMOVED:
                    label = self._joined.labels.label(where, entry)
                    of_layers |= self._joined.labels.is_marked(label)
                    if found.setdefault(channel, label) != label:
                        return
            acted |= found.keys()
        if of_layers and len(acted) == int(reached.numbers.max()) + 1:
            self._joined.labels.add(axis, source.size)
            for target, channels in targets:
                self._join(axis, reached.numbers, target, channels)
            self._join_beside(axis, source, reached)

    def _parameter_target(self, reading: Reading, channels: Tensor) -> tuple[Axis, Tensor] | None:
        if self._flow.is_in_groups(reading):
            target = (f"groups at {reading.place}", 0)
            known = target in self._joined.grouped
            return (target, torch.arange(len(channels))) if known else None
        if self._flow.is_product_of_data(reading):
            target = (f"product {reading.place}", 0)
            known = target in self._joined.products
            return (target, torch.arange(len(channels))) if known else None
        weight = self._flow.weight_axis(reading)
        if weight is None or (weight.tensor, weight.axis) not in self._joined.reads:
            return None
        return (weight.tensor, weight.axis), weight.entries.flatten()

    def _join_heads(self) -> None:
        """Join channels by heads where torch's attention ties its inside to its stream's width."""
        for path, layer in self._module.named_modules():
            if not isinstance(layer, nn.MultiheadAttention) or layer.in_proj_weight is None:
                continue
            prefix, width = f"{path}." if path else "", layer.head_dim
            inner, stream = (f"{prefix}in_proj_weight", 0), (f"{prefix}in_proj_weight", 1)
            out = (f"{prefix}out_proj.weight", 1)
            if not {inner, stream, out} <= set(self._joined.labels.axes()):
                continue
            for entry in range(layer.embed_dim):
                head = entry // width * width
                for axis in (stream, out):
                    self._joined.labels.join(stream, head, axis, entry)
                for part in range(3):
                    self._joined.labels.join(stream, head, inner, part * layer.embed_dim + entry)

    def _reader(self, reading: Reading) -> str:
        names = self._flow.weight_names(reading)
        return layer_of(names[0]) if names else "a product of two inputs"


_COMPUTED = "reads it with a weight that it computes at every call"


def _axis_of(source: Source) -> Axis:
    if source.tensor:
        return source.tensor, source.axis
    return f"computed at {source.makers[0][0]}", 0
