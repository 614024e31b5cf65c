"""Discovery of channel groups: tensors whose entries are proven to be one layer's channels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, Member, named_tensors
from search_spaces.tracing.channel_flow import MIXED, UNMOVED, ChannelFlow, Reached, Reading
from search_spaces.tracing.channel_labels import Axis, ChannelLabels, channels_in_order, layout
from search_spaces.tracing.channel_sources import Source
from search_spaces.tracing.operator_record import OperatorRecord

# Why channels may be of any number, but none of them can go.
MIXING = (
    "without some of its channels the others change (a norm or a scale over channels, or code "
    "that relies on their number)"
)
# Why a classifier keeps its width.
OUTPUTS = "its channels are outputs of the network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The outputs of one layer or more: a group that can be resized, or why there is none.

    ``reached`` says for each axis of a tensor that makes or follows the channels where they are
    read; ``products`` are those of the readings where data is multiplied by data. ``makers`` are
    the places of the operators that put the channels out.
    """

    name: str
    group: ChannelGroup | None = None
    reason: str = ""
    reached: Mapping[Axis, tuple[Reading, ...]] = field(default_factory=dict)
    products: tuple[Reading, ...] = ()
    makers: tuple[int, ...] = ()


def discover_groups(
    module: nn.Module,
    record: OperatorRecord,
    generator: torch.Generator,
    norms: Collection[str] = (),
) -> list[Found]:
    """Perturb the channels of every layer of ``module`` and return what they are, in its order.

    Args:
        module: it is not run; its layers give the names.
        record: of a run in evaluation mode on inputs with values that differ.
        generator: draws perturbations.
        norms: the paths of modules that do no more than normalise over channels.
    """
    return _Discovery(module, ChannelFlow(record, generator, frozenset(norms))).found()


class _Discovery:
    """Joins what moves together into channels, and channels into groups."""

    def __init__(self, module: nn.Module, flow: ChannelFlow) -> None:
        self._flow = flow
        self._module = module
        self._tensors = named_tensors(module)
        self._order = {name: place for place, name in enumerate(self._tensors)}
        self._names = _all_names(module)
        self._paths = {path: place for place, (path, _) in enumerate(module.named_modules())}
        self._labels = ChannelLabels()
        self._layers: dict[Axis, Source] = {}
        self._reads: set[Axis] = set()
        self._products: dict[Axis, dict[Reading, None]] = {}
        self._reached: dict[Axis, tuple[Reading, ...]] = {}
        self._problems: dict[Axis, str] = {}
        # By axis, the operators that take statistics over its channels.
        self._mixed: dict[Axis, frozenset[int]] = {}

    def found(self) -> list[Found]:
        layers = self._flow.sources.layers()
        for source in layers:
            self._labels.add(_axis_of(source), source.size)
        # Layers of one channel last: whether theirs is a channel or a mask, the others tell.
        for source in sorted(layers, key=lambda each: each.size == 1):
            self._join_layer(source, self._flow.reached(source))
        for source in self._flow.sources.parameters():
            self._join_parameter(source, self._flow.reached(source))
        self._join_heads()
        return self._sorted(
            found
            for cluster in self._labels.clusters(self._labels.axes())
            if any(axis in self._layers for axis in cluster)
            for found in self._cluster(cluster)
        )

    def _join_layer(self, source: Source, reached: Reached) -> None:
        axis = _axis_of(source)
        self._layers[axis] = source
        self._join_beside(axis, source, reached)
        if not source.tensor:
            self._note(axis, f"its weight is computed at every call from {source.label}")
        if reached.outputs:
            self._note(axis, OUTPUTS)
        if reached.statistics:
            self._mixed[axis] = reached.statistics
        for reading, channels in reached.readings.items():
            if bool((channels == MIXED).any()):
                self._note(axis, f"between it and {self._reader(reading)} channels are mixed")
                continue
            target = self._target(axis, reading, channels)
            if target is not None and not self._is_spread(axis, source, target, channels):
                self._join(axis, reached.numbers, target, channels)

    def _join_beside(self, axis: Axis, source: Source, reached: Reached) -> None:
        self._reached[axis] = tuple(reached.readings)
        for name in source.also:
            self._reached[(name, 0)] = self._reached[axis]
            self._labels.add((name, 0), source.size)
            for entry in range(source.size):
                self._labels.join(axis, entry, (name, 0), entry)

    def _target(self, axis: Axis, reading: Reading, channels: Tensor) -> tuple[Axis, Tensor] | None:
        """Return the axis that is read and its entry for each of the reader's; None if unknown."""
        if self._flow.is_product_of_data(reading):
            target = (f"product {reading.place}", 0)
            self._labels.add(target, len(channels))
            self._products.setdefault(target, {})[reading] = None
            return target, torch.arange(len(channels))
        weight = self._flow.weight_axis(reading)
        if weight is None:
            how = "reads it in groups of channels or with a weight that it computes at every call"
            self._note(axis, f"{self._reader(reading)} {how}")
            return None
        target = (weight.tensor, weight.axis)
        self._labels.add(target, self._tensors[weight.tensor].shape[weight.axis])
        self._reads.add(target)
        return target, weight.entries.flatten()

    def _is_spread(
        self, axis: Axis, source: Source, target: tuple[Axis, Tensor], channels: Tensor
    ) -> bool:
        """Tell, and note, whether one channel acts on many channels of others, as a mask does."""
        where, entries = target
        touched = {
            self._labels.label(where, int(entry))
            for entry, channel in zip(entries, channels, strict=True)
            if channel != UNMOVED
        }
        if source.size > 1 or len(touched) == 1 or len(touched) == len(entries) == 1:
            return False
        own = {
            label for other in self._layers if other != axis for label in self._labels.labels(other)
        }
        if touched & own:
            self._note(axis, "its one channel acts on many")
            return True
        return False

    def _join(
        self, axis: Axis, numbers: Tensor, target: tuple[Axis, Tensor], channels: Tensor
    ) -> None:
        where, entries = target
        first = {int(number): entry for entry, number in reversed(list(enumerate(numbers)))}
        for entry, number in enumerate(numbers.tolist()):
            self._labels.join(axis, first[number], axis, entry)
        for entry, channel in zip(entries.tolist(), channels.tolist(), strict=True):
            if channel != UNMOVED:
                self._labels.join(axis, first[channel], where, entry)

    def _join_parameter(self, source: Source, reached: Reached) -> None:
        """Join an axis of a parameter that follows channels of layers, entry by entry."""
        axis = _axis_of(source)
        of_layers = {label for layer in self._layers for label in self._labels.labels(layer)}
        acted: set[int] = set()
        targets = []
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
                    label = self._labels.label(where, entry)
                    if label not in of_layers or found.setdefault(channel, label) != label:
                        return
            acted |= found.keys()
        if len(acted) == int(reached.numbers.max()) + 1:
            self._labels.add(axis, source.size)
            for target, channels in targets:
                self._join(axis, reached.numbers, target, channels)
            self._join_beside(axis, source, reached)

    def _parameter_target(self, reading: Reading, channels: Tensor) -> tuple[Axis, Tensor] | None:
        if self._flow.is_product_of_data(reading):
            target = (f"product {reading.place}", 0)
            known = target in self._products
            return (target, torch.arange(len(channels))) if known else None
        weight = self._flow.weight_axis(reading)
        if weight is None or (weight.tensor, weight.axis) not in self._reads:
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
            if not {inner, stream, out} <= set(self._labels.axes()):
                continue
            for entry in range(layer.embed_dim):
                head = entry // width * width
                for axis in (stream, out):
                    self._labels.join(stream, head, axis, entry)
                for part in range(3):
                    self._labels.join(stream, head, inner, part * layer.embed_dim + entry)

    def _note(self, axis: Axis, problem: str) -> None:
        self._problems.setdefault(axis, problem)

    def _reader(self, reading: Reading) -> str:
        names = self._flow.weight_names(reading)
        return _layer(names[0]) if names else "a product of two inputs"

    def _cluster(self, cluster: list[Axis]) -> list[Found]:
        layers = sorted((axis for axis in cluster if axis in self._layers), key=self._rank)
        problem = next((p for axis in layers if (p := self._problems.get(axis))), None)
        group: ChannelGroup | None = None
        products: tuple[Reading, ...] = ()
        if problem is None:
            group, problem = self._group(cluster, layers)
            products = tuple(r for axis in cluster for r in self._products.get(axis, ()))
        if group is not None:
            reached = {axis: self._reached[axis] for axis in cluster if axis in self._reached}
            makers = tuple(place for axis in layers for place, *_ in self._layers[axis].makers)
            return [
                Found(
                    name=group.name,
                    group=group,
                    reached=reached,
                    products=products,
                    makers=makers,
                )
            ]
        # Concatenated layers share a reader but no channel: each is told by its own name.
        return [
            Found(name=self._name(part[0]), reason=self._problems.get(part[0]) or problem or "")
            for part in self._labels.clusters(layers)
        ]

    def _group(
        self, cluster: list[Axis], layers: list[Axis]
    ) -> tuple[ChannelGroup | None, str | None]:
        channels = channels_in_order(self._labels.labels(layers[0]))
        members = []
        for axis in sorted(cluster, key=self._rank):
            labels = self._labels.labels(axis)
            if set(labels) != set(channels):
                return None, f"{self._where(axis)} has more channels than it, or fewer"
            if axis in self._products:
                continue
            form = layout(labels, channels)
            if form is None:
                return None, f"{self._where(axis)} has its channels in another order or number"
            reads = axis in self._reads
            if not (reads and axis in self._layers):
                members.append(_member(axis, form, reads=reads))
            else:
                # A tied embedding is one tensor, made and read along one axis.
                members.append(_member(axis, form, reads=False))
        if not any(axis in self._reads or axis in self._products for axis in cluster):
            return None, "no layer reads its channels"
        ordered = sorted(members, key=lambda member: bool(member.reads))
        normalised, all_norms = self._norms_over(cluster)
        return ChannelGroup(
            name=self._name(layers[0]),
            size=len(channels),
            members=tuple(ordered),
            kept="" if all_norms else MIXING,
            normalised=normalised,
        ), None

    def _norms_over(self, cluster: list[Axis]) -> tuple[tuple[str, ...], bool]:
        """Return the norms over these channels by path, and whether nothing else mixes them."""
        places = {place for axis in cluster for place in self._mixed.get(axis, ())}
        scopes = {self._flow.record.scopes[place] for place in places}
        norms = sorted(scopes & self._flow.norms, key=lambda path: self._paths[path])
        return tuple(norms), scopes <= self._flow.norms

    def _where(self, axis: Axis) -> str:
        return "a product of two inputs" if axis in self._products else _layer(axis[0])

    def _name(self, axis: Axis) -> str:
        """Return the path of the layer that puts out an axis, of a parameter alone its name."""
        source = self._layers.get(axis)
        if source is not None and not source.tensor:
            return _layer(source.computed_from[0])
        names = self._names.get(axis[0], [axis[0]])
        # A tied embedding puts out its columns, the linear layer that shares it its rows.
        makes = [name for name in names if self._is_embedding(name) == (axis[1] == 1)]
        return _layer((makes or names)[0])

    def _is_embedding(self, tensor: str) -> bool:
        return isinstance(self._module.get_submodule(tensor.rpartition(".")[0]), nn.Embedding)

    def _rank(self, axis: Axis) -> tuple[int, int, int]:
        path = self._name(axis)
        owner = path if path in self._paths else path.rpartition(".")[0]
        return self._paths.get(owner, 0), self._order.get(axis[0], -1), axis[1]

    def _sorted(self, found: Iterable[Found]) -> list[Found]:
        def rank(each: Found) -> tuple[int, str]:
            owner = each.name if each.name in self._paths else each.name.rpartition(".")[0]
            return self._paths.get(owner, 0), each.name

        named: dict[str, Found] = {}
        for each in sorted(found, key=rank):
            name, number = each.name, 1
            while name in named:
                number += 1
                name = f"{each.name}#{number}"
            group = None if each.group is None else replace(each.group, name=name)
            named[name] = replace(each, name=name, group=group)
        return list(named.values())


def _axis_of(source: Source) -> Axis:
    if source.tensor:
        return source.tensor, source.axis
    return f"computed at {source.makers[0][0]}", 0


def _layer(tensor: str) -> str:
    """Return the path of the layer whose weight a tensor is; of others, their own name."""
    path, parametrized, _ = tensor.partition(".parametrizations.")
    if parametrized:
        return path
    path, _, leaf = tensor.rpartition(".")
    return path if path and leaf in _WEIGHTS else tensor


# The weight of a layer, and what it is computed from where it is normalised.
_WEIGHTS = (
    *("weight", "weight_g", "weight_v", "weight_orig"),
    *("weight_ih", "weight_ih_l0", "in_proj_weight"),
)


def _all_names(module: nn.Module) -> dict[str, list[str]]:
    """Return, by each parameter's first name, all of its names."""
    firsts = {id(parameter): name for name, parameter in module.named_parameters()}
    found: dict[str, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        found.setdefault(firsts[id(parameter)], []).append(name)
    return found


def _member(axis: Axis, form: tuple[int, int], *, reads: bool) -> Member:
    repeat, blocks = form
    return Member(tensor=axis[0], axis=axis[1], repeat=repeat, blocks=blocks, reads=reads)
