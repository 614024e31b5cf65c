"""Removal of channels, and the proof that it is what it should be: the same as not hearing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import (
    ChannelGroup,
    axes_by_tensor,
    entries_by_axis,
    follow_sizes,
    is_consumed,
    is_plain_norm,
    is_plain_producer,
    named_tensors,
    resize,
    set_tensors,
    sync_attributes,
    sync_layer_groups,
)
from search_spaces.own_networks.whole_networks import copied
from search_spaces.tracing.declared_groups import declare_groups
from search_spaces.tracing.live_statistics import Norm, find_norms, use_live_statistics
from search_spaces.tracing.network_probe import computes_in_single, steady
from search_spaces.tracing.operator_record import tensors_of
from search_spaces.tracing.time_limit import check_time

_BOTH = frozenset({0, 1})
# Of the largest output, in double and in single precision.
_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4}


@torch.no_grad()
def keep_channels(
    module: nn.Module, groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]
) -> None:
    """Remove from ``module`` all channels but ``live``, positions by the names of groups.

    Groups that are not named keep all of theirs.
    """
    tensors, kept = named_tensors(module), {}
    for name, axes in axes_by_tensor(groups).items():
        value = tensors[name].detach()
        for axis, entries in entries_by_axis(axes, live).items():
            value = value.index_select(axis, entries.to(value.device))
        kept[name] = value
    set_tensors(module, kept)
    sync_layer_groups(module, groups, {name: len(channels) for name, channels in live.items()})
    sync_attributes(module)
    named = (group for group in groups if group.name in live)
    follow_sizes(module, (replace(group, size=len(live[group.name])) for group in named))


@torch.no_grad()
def silence_channels(
    module: nn.Module, groups: tuple[ChannelGroup, ...], dead: Mapping[str, Tensor]
) -> None:
    """Set to zero what reads the channels ``dead``, positions by the names of groups.

    Other tensors take the places of those that change: what shares them keeps its values.
    """
    tensors, silenced = named_tensors(module), dict[str, Tensor]()
    for name, axes in axes_by_tensor(groups).items():
        for axis, group, member in axes:
            if group.name in dead and is_consumed(module, member):
                value = silenced.get(name, tensors[name].detach())
                entries = member.entries(dead[group.name], group.size).to(value.device)
                silenced[name] = value.index_fill(axis, entries, 0.0)
    set_tensors(module, silenced)


def sharing_copy(module: nn.Module) -> nn.Module:
    """Return a copy that has the very tensors of ``module``: put others in their places only."""
    held = (t for part in module.modules() for t in (*part._parameters.values(), *_buffers(part)))
    return copied(module, {id(tensor): tensor for tensor in held if tensor is not None})


def _buffers(part: nn.Module) -> Iterable[Tensor | None]:
    return part._buffers.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What came of removing every other channel of some groups, then the others, then all but one.

    ``proven`` are the halves (0, 1) whose removal the outputs would have heard and was right, by
    the names of groups; ``refuted`` the groups where it was not. A group that the outputs do not
    depend on is in neither.
    """

    proven: Mapping[str, frozenset[int]]
    refuted: frozenset[str]


def try_removal(
    module: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> Removal:
    """Remove one half of the channels of all ``groups``, then the other, then all but one.

    Each time the small network must put out what the full one does when all that reads these
    channels is zero there, and norms over channels leave them out.

    Args:
        module: in evaluation mode, with weights under which channels matter. It stays as it is.
        groups: of ``module``; all are tried together, and in parts where that fails.
        inputs: batch first, with values that differ.
    """
    whole = {group.name: _BOTH for group in groups if group.size == 1}
    heard = {n: halves for n, halves in _heard(module, groups, inputs).items() if n not in whole}
    tried = [group for group in groups if group.name in heard]
    trial = RemovalTrial.of(module, tuple(groups), inputs)
    found = {group.name: heard[group.name] for group in passing(tried, trial.agrees)}
    return Removal(proven=whole | found, refuted=frozenset(heard) - frozenset(found))


def passing(
    groups: Sequence[ChannelGroup], passes: Callable[[Sequence[ChannelGroup]], bool]
) -> list[ChannelGroup]:
    """Return those of ``groups`` that pass together, the first before others.

    As a rule few do not, so that many at once are tried first.
    """
    kept: list[ChannelGroup] = []

    def add(part: Sequence[ChannelGroup]) -> None:
        if part and passes([*kept, *part]):
            kept.extend(part)
        elif len(part) > 1:
            middle = len(part) // 2
            add(part[:middle])
            add(part[middle:])

    add(groups)
    return kept


def _heard(
    module: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> dict[str, frozenset[int]]:
    """Return the halves of each group whose readers have a gradient, where one has.

    A removal that changes nothing is no proof; single channels may be silent on a few examples.
    Where the code allows no gradient (it writes over what a backward pass reads), halves are
    silenced one by one.
    """
    try:
        probe = _with_gradients(module, inputs)
    except RuntimeError:
        return _heard_by_silence(module, groups, inputs)
    parameters = dict(probe.named_parameters())
    found: dict[str, frozenset[int]] = {}
    for group in groups:
        heard = torch.zeros(group.size, dtype=torch.bool)
        for member in group.members:
            gradient = getattr(parameters.get(member.tensor), "grad", None)
            if gradient is not None and is_consumed(probe, member):
                rows = gradient.transpose(0, member.axis).reshape(gradient.shape[member.axis], -1)
                by_entry = rows.ne(0).any(dim=1).cpu()
                every = member.entries(torch.arange(group.size), group.size)
                channels = torch.arange(group.size).repeat_interleave(member.repeat)
                heard[channels.repeat(member.blocks)[by_entry[every]]] = True
        halves = frozenset(first for first in _BOTH if bool(heard[first::2].any()))
        if halves:
            found[group.name] = halves
    return found


def _with_gradients(module: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Return a copy whose parameters have gradients of random sums of all outputs."""
    probe = copied(module).requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        total = torch.zeros(())
        for out in _outputs(probe, inputs):
            if out.requires_grad:
                drawn = torch.randn(out.shape, generator=generator)
                total = total + (out * drawn.to(out)).sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
    return probe


@torch.no_grad()
def _heard_by_silence(
    module: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> dict[str, frozenset[int]]:
    """Return the halves of each group without which the outputs are others."""
    expected, found = _outputs(module, inputs), dict[str, frozenset[int]]()
    for group in groups:
        halves = set()
        for first in _BOTH:
            check_time()
            silenced = sharing_copy(module)
            silence_channels(silenced, tuple(groups), {group.name: _every_other(group, first)})
            pairs = zip(expected, _outputs(silenced, inputs), strict=True)
            if not all(torch.equal(one, other) for one, other in pairs):
                halves.add(first)
        if halves:
            found[group.name] = frozenset(halves)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTrial:
    """A network and what is removed from it on trial.

    Attributes:
        module: in evaluation mode; it stays as it is.
        groups: all that are known of it.
        inputs: of its forward pass.
        norms: what `find_norms` says of it.
        tolerance: of the largest output; None for that of the outputs' type.
        lenient: whether outputs may have another shape, if only one has not (scores by heads).
    """

    module: nn.Module
    groups: tuple[ChannelGroup, ...]
    inputs: tuple[Tensor, ...]
    norms: Mapping[str, Norm]
    tolerance: float | None = None
    lenient: bool = False

    @classmethod
    def of(
        cls,
        module: nn.Module,
        groups: tuple[ChannelGroup, ...],
        inputs: tuple[Tensor, ...],
        *,
        lenient: bool = False,
    ) -> RemovalTrial:
        """Return the trial of a network, which is run to see with what precision it computes."""
        norms = find_norms(module, inputs) if any(group.normalised for group in groups) else {}
        single = _TOLERANCES[torch.float32] if computes_in_single(module, inputs) else None
        return cls(
            module=module,
            groups=groups,
            inputs=inputs,
            norms=norms,
            tolerance=single,
            lenient=lenient,
        )

    def agrees(self, chosen: Sequence[ChannelGroup]) -> bool:
        """Tell whether all that is to be proven of ``chosen`` together holds."""
        check_time()
        removals = (_half(chosen, 0), _half(chosen, 1), _all_but_one(chosen))
        return all(self.agrees_without(dead) for dead in removals)

    @torch.no_grad()
    def widens(self) -> bool:
        """Tell whether the network runs with more channels, and puts out what has the same shape.

        Code that takes the first of all channels would run with fewer of them all the same.
        """
        check_time()
        wider = sharing_copy(self.module)
        declare_groups(wider, self.groups)
        try:
            resize(wider, {group.name: group.size + group.multiple for group in self.groups})
            pairs = zip(
                _outputs(self.module, self.inputs), _outputs(wider, self.inputs), strict=True
            )
            same = [one.shape == other.shape for one, other in pairs]
        except _REFUSALS:
            return False
        return any(same) if self.lenient else all(same)

    @torch.no_grad()
    def agrees_without(self, dead: Mapping[str, Tensor]) -> bool:
        """Tell whether the network without the channels ``dead`` does as the one that is deaf."""
        silenced, smaller = sharing_copy(self.module), sharing_copy(self.module)
        silence_channels(silenced, self.groups, dead)
        sizes = {group.name: group.size for group in self.groups}
        live = {name: _others(gone, sizes[name]) for name, gone in dead.items()}
        try:
            use_live_statistics(silenced, self.groups, dead, self.norms)
            keep_channels(smaller, self.groups, live)
            # This one first: as a rule it is the one that does not run.
            small = _outputs(smaller, self.inputs)
            full = _outputs(silenced, self.inputs)
            pairs = [
                (one, other)
                for one, other in zip(full, small, strict=True)
                if not self.lenient or one.shape == other.shape
            ]
            return bool(pairs) and all(_close(*pair, self.tolerance) for pair in pairs)
        except _REFUSALS:
            return False  # a width that the code relies on


# What code raises that relies on a width.
_REFUSALS = (RuntimeError, ValueError, IndexError, TypeError, AssertionError, KeyError)


def _others(dead: Tensor, size: int) -> Tensor:
    live = torch.ones(size, dtype=torch.bool)
    live[dead] = False
    return live.nonzero().flatten()


def _half(groups: Iterable[ChannelGroup], first: int) -> dict[str, Tensor]:
    return {group.name: _every_other(group, first) for group in groups}


def _all_but_one(chosen: Iterable[ChannelGroup]) -> dict[str, Tensor]:
    """Return what the least network is without: at a width of 1, code may squeeze an axis away."""
    return {group.name: torch.arange(group.multiple, group.size) for group in chosen}


def _every_other(group: ChannelGroup, first: int) -> Tensor:
    """Return every other channel, as many as leave a multiple of the group's own."""
    chosen = torch.arange(first, group.size, 2)
    return chosen[: len(chosen) // group.multiple * group.multiple]


def closed_by_norms(
    module: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> set[str]:
    """Return the names of groups that zeros behind their BatchNorms close, and recurrent ones.

    The arguments are those of `try_removal`. A recurrent layer is gated at its own output.
    """
    owners = {
        group.name: [
            module.get_submodule(path)
            for path in {member.tensor.rpartition(".")[0] for member in group.members}
        ]
        for group in groups
    }
    recurrent = {name for name, layers in owners.items() if any(map(is_plain_producer, layers))}
    normed = [
        group
        for group in groups
        if group.name not in recurrent and any(map(is_plain_norm, owners[group.name]))
    ]

    def close(part: Sequence[ChannelGroup]) -> bool:
        return all(_closes(module, part, first, inputs) for first in (0, 1))

    return recurrent | {group.name for group in passing(normed, close)}


@torch.no_grad()
def _closes(
    module: nn.Module, groups: Sequence[ChannelGroup], first: int, inputs: tuple[Tensor, ...]
) -> bool:
    """Tell whether zeros behind the norms silence every other channel, whatever else makes them.

    What is no norm is pushed far up and far down: behind a ReLU that happens to be closed nothing
    would be heard of it.
    """
    dead = _half(groups, first)
    silenced = copied(module)
    silence_channels(silenced, tuple(groups), dead)
    expected = _outputs(silenced, inputs)
    for push in (0.0, 10.0, -10.0):
        closed = copied(module)
        for group in groups:
            _close_norms(closed, group, dead[group.name], push)
        pairs = zip(expected, _outputs(closed, inputs), strict=True)
        if not all(_close(one, other) for one, other in pairs):
            return False
    return True


def _close_norms(module: nn.Module, group: ChannelGroup, dead: Tensor, push: float) -> None:
    """Set norms of the channels ``dead`` to zero, and add ``push`` to all else that makes them."""
    tensors = named_tensors(module)
    for member in group.members:
        path, _, leaf = member.tensor.rpartition(".")
        value, entries = tensors[member.tensor], member.entries(dead, group.size)
        if is_plain_norm(module.get_submodule(path)) and leaf in ("weight", "bias"):
            value.index_fill_(0, entries, 0.0)
        elif not is_consumed(module, member) and leaf != "running_var":
            pushed = torch.full_like(value.index_select(member.axis, entries), push)
            value.index_add_(member.axis, entries, pushed)


def _outputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]), steady(module):
        torch.manual_seed(0)
        out = module(*inputs)
    return list(tensors_of(out))


def _close(one: Tensor, other: Tensor, tolerance: float | None = None) -> bool:
    if one.shape != other.shape:
        return False
    if tolerance is None:
        tolerance = _TOLERANCES.get(one.dtype, _TOLERANCES[torch.float32])
    largest = float(one.detach().nan_to_num(0, 0, 0).abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * largest, equal_nan=True)
