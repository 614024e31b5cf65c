"""Found groups: what joined entries make, by the names of layers, and why others make none."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from search_spaces.axes.axis_parts import Member, Part
from search_spaces.axes.layer_groups import is_in_groups
from search_spaces.channel_groups import ChannelGroup, named_tensors
from search_spaces.tracing.channel_flow import Reading
from search_spaces.tracing.channel_grouping import Grouping, Run, grouping, tie
from search_spaces.tracing.channel_labels import Axis, ChannelLabels
from search_spaces.tracing.channel_sources import Source

# Why channels may be of any number, but none of them can go.
MIXING = (
    "without some of its channels the others change (a norm or a scale over channels, or code "
    "that relies on their number)"
)
# Why a classifier keeps its width.
OUTPUTS = "its channels are outputs of the network"
# A layer may read them behind what mixes them, or behind what passes nothing on.
_THROUGH = "its channels come to the outputs through no layer that takes them in one by one"
_UNREAD = (
    "no layer was found that takes in its channels one by one: what they go through is not known "
    "channel by channel, or lets nothing through"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The outputs of one layer or more: a group that can be resized, or why there is none.

    ``reached`` says for each axis of a tensor that makes or follows the channels where they are
    read; ``read``, for each reading, which of the entries that are taken in are channels of the
    group; ``products`` are those of the readings where data is multiplied by data. ``makers`` are
    the places of the operators that put the channels out. ``channels`` are their labels.
    """

    name: str
    group: ChannelGroup | None = None
    reason: str = ""
    reached: Mapping[Axis, tuple[Reading, ...]] = field(default_factory=dict)
    read: Mapping[Reading, Tensor] = field(default_factory=dict)
    products: tuple[Reading, ...] = ()
    makers: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()

    def why(self, module: nn.Module, ends: Collection[int]) -> str:
        """Return the reason; that of outputs holds if an axis of theirs, ``ends``, is the layer's.

        Else something without weights stands between.
        """
        layer = dict(module.named_modules()).get(self.name)
        weight = getattr(layer, "weight", None)
        own = set(weight.shape[:2]) if isinstance(weight, Tensor) else set(ends)
        return _THROUGH if self.reason == OUTPUTS and not own & set(ends) else self.reason


@dataclass(slots=True, kw_only=True)
class Joined:
    """What perturbation has shown of a network: which entries of which axes are one channel.

    Attributes:
        layers: the axes along which layers put out channels.
        reads: those along which weights take them in.
        products: those of products of data by data, with the places where they are read.
        reached: where what an axis of a tensor makes or changes is read.
        targets: by reading, the axis that is read and its entry for each of the reader's.
        grouped: what convolutions and norms take in in groups of channels; no axes of tensors.
        group_lengths: by axes with entries for such groups, how many there are for each.
        problems: why an axis of a layer keeps its width.
        mixed: by axis, the paths of the modules that take statistics over its channels.
        norms: those of all modules that do no more than normalise over channels.
    """

    labels: ChannelLabels = field(default_factory=ChannelLabels)
    layers: dict[Axis, Source] = field(default_factory=dict)
    reads: set[Axis] = field(default_factory=set)
    products: dict[Axis, dict[Reading, None]] = field(default_factory=dict)
    reached: dict[Axis, tuple[Reading, ...]] = field(default_factory=dict)
    targets: dict[Reading, tuple[Axis, Tensor]] = field(default_factory=dict)
    grouped: set[Axis] = field(default_factory=set)
    group_lengths: dict[Axis, int] = field(default_factory=dict)
    problems: dict[Axis, str] = field(default_factory=dict)
    mixed: dict[Axis, frozenset[str]] = field(default_factory=dict)
    norms: frozenset[str] = frozenset()

    def note(self, axis: Axis, problem: str) -> None:
        """Say why an axis keeps its width; the first reason counts."""
        self.problems.setdefault(axis, problem)


def found_groups(module: nn.Module, joined: Joined) -> list[Found]:
    """Return the groups of a network and the layers that are in none, in its order."""
    return _Groups(module, joined).found()


def tied(joined: Joined, found: Sequence[Found], lost: Collection[str]) -> Iterator[Joined]:
    """Yield ``joined`` with some channels taken together that may have to keep their ratio.

    Args:
        joined: what perturbation has shown.
        found: the groups that were made of it.
        lost: names of those that the network does not run with at other widths. Its code may halve
            what one layer puts out, or stack what several do.
    """
    by_name = {each.name: each for each in found if each.group is not None}
    for reads in (False, True):
        labels, split = copy.deepcopy(joined.labels), False
        for name in by_name.keys() & set(lost):
            group = by_name[name].group
            assert group is not None
            for member in group.members:
                beside = dict.fromkeys(part.group for part in member.parts)
                names = [n for n in beside if n in by_name and (n in lost or not reads)]
                if bool(member.reads) is reads and len(names) > 1:
                    for joins in tie([by_name[each].channels for each in names]):
                        split = True
                        for label, other in joins.items():
                            labels.join_labels(label, other)
        if split:
            yield replace(joined, labels=labels)


class _Groups:
    """Forms groups of joined entries and gives them names."""

    def __init__(self, module: nn.Module, joined: Joined) -> None:
        self._joined = joined
        self._names = LayerNames(module, joined)

    def found(self) -> list[Found]:
        drafts = [
            draft
            for cluster in self._joined.labels.clusters(self._joined.labels.axes())
            if any(axis in self._joined.layers for axis in cluster)
            for draft in self._cluster(cluster)
        ]
        named = self._named(drafts)
        return [self._found(name, draft, named) for name, draft in named.items()]

    def _cluster(self, cluster: list[Axis]) -> list[_Draft]:
        """Return the groups of axes that share channels, and the layers that are in none."""
        layers = sorted(
            (axis for axis in cluster if axis in self._joined.layers), key=self._names.rank
        )
        others = sorted(
            (axis for axis in cluster if axis not in self._joined.layers), key=self._names.rank
        )
        labels = {axis: self._joined.labels.labels(axis) for axis in (*layers, *others)}
        problems: dict[int, str] = {}
        for axis in layers:
            if axis in self._joined.problems:
                for label in labels[axis]:
                    problems.setdefault(label, self._joined.problems[axis])
        free = {label for axis in layers for label in labels[axis]} - problems.keys()
        told = grouping(labels, free, set(labels) & set(self._joined.products))
        drafts: list[_Draft] = []
        for number in range(len(told.groups)):
            draft = _Draft(told=told, number=number, drafts=drafts)
            first = next(axis for axis in layers if axis in draft.axes)
            read = any(
                axis in self._joined.reads or axis in self._joined.products for axis in draft.axes
            )
            draft.base = self._names.name(first)
            draft.reason = "" if read else _UNREAD
            drafts.append(draft)
        for label, axis in told.failed.items():
            problems[label] = f"{self._where(axis)} has its channels in another order or number"
        return [*drafts, *self._without_group(told, problems, layers)]

    def _without_group(
        self, told: Grouping, problems: Mapping[int, str], layers: Sequence[Axis]
    ) -> list[_Draft]:
        """Return what is told of layers whose channels are in no group.

        Concatenated layers share a reader but no channel: each is told by its own name.
        """
        left = [axis for axis in layers if problems.keys() & set(told.labels[axis])]
        found = []
        for part in self._joined.labels.clusters(left):
            own = next(
                (self._joined.problems[axis] for axis in part if axis in self._joined.problems),
                None,
            )
            first = next(label for label in told.labels[part[0]] if label in problems)
            found.append(_Draft(base=self._names.name(part[0]), reason=own or problems[first]))
        return found

    def _found(self, name: str, draft: _Draft, named: Mapping[str, _Draft]) -> Found:
        if draft.told is None or draft.reason:
            return Found(name=name, reason=draft.reason)
        names = {id(each): key for key, each in named.items()}
        members = [
            member
            for axis in sorted(draft.axes, key=self._names.rank)
            if axis not in self._joined.products and axis not in self._joined.grouped
            for member in self._members(axis, draft, names)
        ]
        ordered = sorted(members, key=lambda member: bool(member.reads))
        mixing = {path for axis in draft.axes for path in self._joined.mixed.get(axis, ())}
        group = ChannelGroup(
            name=name,
            size=len(draft.channels),
            members=tuple(ordered),
            kept="" if mixing <= self._joined.norms else MIXING,
            normalised=tuple(
                sorted(mixing & self._joined.norms, key=lambda path: self._names.paths[path])
            ),
        )
        layers = [
            axis for axis in sorted(draft.axes, key=self._names.rank) if axis in self._joined.layers
        ]
        reached = {
            axis: tuple(r for r in self._joined.reached[axis] if not self._passes(r))
            for axis in draft.axes
            if axis in self._joined.reached
        }
        return Found(
            name=name,
            group=group,
            reached=reached,
            read=self._read(draft, reached),
            products=tuple(r for axis in draft.axes for r in self._joined.products.get(axis, ())),
            channels=draft.channels,
            makers=tuple(
                place for axis in layers for place, *_ in self._joined.layers[axis].makers
            ),
        )

    def _passes(self, reading: Reading) -> bool:
        """Tell whether channels go on behind a reading, as through a convolution in groups."""
        return reading in self._joined.targets and (
            self._joined.targets[reading][0] in self._joined.grouped
        )

    def _members(self, axis: Axis, draft: _Draft, names: Mapping[int, str]) -> Iterator[Member]:
        """Yield a member for each part of an axis that holds channels of a group."""
        runs, blocks = draft.axes[axis]
        # A tied embedding is one tensor, made and read along one axis: zeros close it as a reader.
        reads = axis in self._joined.reads
        parts = tuple(
            Part(
                size=run.size,
                group="" if run.group < 0 else names.get(id(draft.drafts[run.group]), ""),
                repeat=run.repeat,
            )
            for run in runs
        )
        for place, run in enumerate(runs):
            if run.group == draft.number:
                yield Member(
                    tensor=axis[0],
                    axis=axis[1],
                    repeat=run.repeat,
                    blocks=blocks,
                    reads=reads,
                    parts=parts if len(parts) > 1 else (),
                    place=place,
                    layer_groups=self._layer_groups(axis, run.repeat * blocks),
                )

    def _layer_groups(self, axis: Axis, entries: int) -> int:
        """Return how many groups of a layer's own so many entries of an axis are."""
        whole, rest = divmod(entries, self._joined.group_lengths.get(axis, entries + 1))
        return whole if not rest and self._names.is_in_groups(axis[0]) else 0

    def _read(
        self, draft: _Draft, reached: Mapping[Axis, tuple[Reading, ...]]
    ) -> dict[Reading, Tensor]:
        """Return, by where channels of a group are read, which entries they are."""
        assert draft.told is not None
        found = {}
        for reading in dict.fromkeys(r for readings in reached.values() for r in readings):
            if reading in self._joined.targets:
                axis, entries = self._joined.targets[reading]
                labels = draft.told.labels.get(axis)
                if labels is not None:
                    own = set(draft.channels)
                    found[reading] = torch.tensor([labels[e] in own for e in entries.tolist()])
        return found

    def _where(self, axis: Axis) -> str:
        return "a product of two inputs" if axis in self._joined.products else layer_of(axis[0])

    def _named(self, drafts: Iterable[_Draft]) -> dict[str, _Draft]:
        """Return drafts by name in the order of layers; what has a name already gets a number."""

        def rank(draft: _Draft) -> tuple[int, str]:
            name = draft.base
            owner = name if name in self._names.paths else name.rpartition(".")[0]
            return self._names.paths.get(owner, 0), name

        named: dict[str, _Draft] = {}
        for draft in sorted(drafts, key=rank):
            name, number = draft.base, 1
            while name in named:
                number += 1
                name = f"{draft.base}#{number}"
            named[name] = draft
        return named


@dataclass(slots=True, eq=False, kw_only=True)
class _Draft:
    """A group that has no name yet, or layers that are in none and why.

    ``drafts`` are those of all groups in ``told``, by their numbers.
    """

    base: str = ""
    reason: str = ""
    told: Grouping | None = None
    number: int = -1
    drafts: list[_Draft] = field(default_factory=list)
    axes: dict[Axis, tuple[tuple[Run, ...], int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.told is not None:
            self.axes = {
                axis: (runs, blocks)
                for axis, (runs, blocks) in self.told.axes.items()
                if any(run.group == self.number for run in runs)
            }

    @property
    def channels(self) -> tuple[int, ...]:
        """The labels of the group's channels in their order."""
        return () if self.told is None else self.told.groups[self.number]


class LayerNames:
    """Names of axes by the layers that put them out, and their order in the network."""

    def __init__(self, module: nn.Module, joined: Joined) -> None:
        self._module, self._joined = module, joined
        self._order = {name: place for place, name in enumerate(named_tensors(module))}
        self._all = _all_names(module)
        self.paths = {path: place for place, (path, _) in enumerate(module.named_modules())}

    def name(self, axis: Axis) -> str:
        """Return the path of the layer that puts out an axis, of a parameter alone its name."""
        source = self._joined.layers.get(axis)
        if source is not None and not source.tensor:
            return layer_of(source.computed_from[0])
        names = self._all.get(axis[0], [axis[0]])
        # A tied embedding puts out its columns, the linear layer that shares it its rows.
        makes = [name for name in names if self._is_embedding(name) == (axis[1] == 1)]
        return layer_of((makes or names)[0])

    def _is_embedding(self, tensor: str) -> bool:
        return isinstance(self._module.get_submodule(tensor.rpartition(".")[0]), nn.Embedding)

    def is_in_groups(self, tensor: str) -> bool:
        """Tell whether a tensor's layer knows a number of its own groups."""
        return is_in_groups(self._module.get_submodule(tensor.rpartition(".")[0]))

    def rank(self, axis: Axis) -> tuple[int, int, int]:
        """Return what sorts axes in the order of the network's layers."""
        path = self.name(axis)
        owner = path if path in self.paths else path.rpartition(".")[0]
        return self.paths.get(owner, 0), self._order.get(axis[0], -1), axis[1]


def layer_of(tensor: str) -> str:
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
