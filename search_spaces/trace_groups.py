"""Tracing of channel groups: which channels of any network must be resized together.

What belongs together is proven by perturbation (`channel_discovery`), then by resizing, and what
may be removed while a network trains by removing it (`channel_removal`). What cannot be proven
keeps its width, and the reason is told.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, Gating, channel_groups, resize
from search_spaces.errors import SearchSpaceError
from search_spaces.group_sizes import told_sizes
from search_spaces.own_networks.keyword_inputs import ExampleInputs, by_position
from search_spaces.own_networks.whole_networks import check_whole
from search_spaces.tracing.channel_discovery import discover_channels
from search_spaces.tracing.channel_gates import gated_group
from search_spaces.tracing.channel_removal import (
    closed_by_norms,
    passing,
    sharing_copy,
    try_removal,
)
from search_spaces.tracing.declared_groups import declare_groups as declare_groups
from search_spaces.tracing.found_groups import MIXING, Found, Joined, found_groups, tied
from search_spaces.tracing.group_roles import with_roles
from search_spaces.tracing.heads.attention_heads import HeadFlow, find_heads, has_products
from search_spaces.tracing.heads.attribute_search import AttributeSearch
from search_spaces.tracing.heads.code_ties import followed_groups, tied_groups
from search_spaces.tracing.heads.head_groups import beside_heads, head_groups, joined_by_heads
from search_spaces.tracing.live_statistics import find_norms, norms_of_members
from search_spaces.tracing.network_probe import (
    module_by_module,
    network_probe,
    steady,
    training_twin,
)
from search_spaces.tracing.operator_record import record_operators, tensors_of
from search_spaces.tracing.time_limit import TimeLimitError, check_time, seconds_for, time_limit

_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedGroups:
    """What a trace has found.

    ``groups`` can be resized. ``fixed`` are layers whose outputs cannot, by path: the classifier,
    and those whose width the code itself relies on.
    ``reasons`` says why, by the same paths.
    """

    groups: tuple[ChannelGroup, ...]
    fixed: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


def trace_groups(
    module: nn.Module, example_inputs: ExampleInputs, trace_seconds: float | None = None
) -> TracedGroups:
    """Find the channel groups of any network; it is run, but not changed.

    A group is what a perturbation of single channels says: which entries of which weights read
    each of them, and which other tensors follow it. Then all groups have been resized, each to
    another width: the network still runs and its outputs keep their shapes. At last every other
    channel has been removed: where that changes the rest, the group is ``kept`` (see
    `ChannelGroup`). What fails the first two is ``fixed``, not guessed. Where the network computes
    something else while it trains, all that is proven there too.

    Args:
        module: any layers, and functions with parameters. Weights that are computed from
            parameters at every call are fixed.
        example_inputs: positional inputs, or inputs by the names of arguments, each with the batch
            on axis 0. Values of floating inputs do not matter.
        trace_seconds: how long it may take, of one core's processor time. None is what an attribute
            of this name of ``module`` says, else 60.

    Raises:
        SearchSpaceError: if the network cannot be traced, or takes longer.
    """
    check_whole(module)
    module, inputs_given = by_position(module, example_inputs)
    generator = torch.Generator().manual_seed(_SEED)
    with _undisturbed(), _within(module, trace_seconds):
        probe, inputs = network_probe(module, inputs_given, generator)
        record = record_operators(probe, inputs)
        norms = find_norms(probe, inputs)
        joined = discover_channels(probe, record, generator, norms)
        search = _attribute_search(module, inputs_given)
        heads = _Heads(joined=joined, search=search)
        if has_products(record):
            flow = HeadFlow(record, generator, frozenset(norms))
            heads = _Heads.of(probe, joined, flow, search)
        found = beside_heads(found_groups(probe, joined), heads.found)
        told_of, resizable = _resizable(probe, joined, found, heads.found, inputs)
        told_of, resizable = heads.tied(probe, told_of, resizable, inputs)
        known = {each.name for each in resizable}
        twin = training_twin(probe, inputs)
        if twin is not None:
            resizable = _running(twin, resizable, inputs)
        gated = [
            each.group
            if each.group is not None and each.group.role == "heads"
            else gated_group(probe, record, each, generator)
            for each in resizable
        ]
        groups = with_roles(_proven(module, gated, inputs_given, generator))
        ends = {size for shape in _shapes(probe, inputs) for size in shape[1:]}
    names = {group.name for group in groups}
    reasons = {
        each.name: _MODES if each.name in known else each.why(probe, ends) or _RELIED_ON
        for each in told_of
        if each.name not in names
    }
    # A layer is told once, also where its channels were tried in parts.
    reasons = {n: r for n, r in reasons.items() if n.partition("#")[0] not in reasons.keys() - {n}}
    return TracedGroups(groups=groups, fixed=tuple(reasons), reasons=reasons)


def _attribute_search(module: nn.Module, inputs: tuple[Tensor, ...]) -> AttributeSearch:
    def probe() -> tuple[nn.Module, tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(_SEED)
        return network_probe(module, inputs, generator, double=True)

    return AttributeSearch(probe)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """Attention heads, ``unproven`` ones with their groups, and what is ``joined`` by heads."""

    joined: Joined
    search: AttributeSearch
    found: list[Found] = field(default_factory=list)
    unproven: list[Found] = field(default_factory=list)

    @classmethod
    def of(
        cls, probe: nn.Module, joined: Joined, flow: HeadFlow, search: AttributeSearch
    ) -> _Heads:
        heads, scopes = find_heads(flow, joined.labels), flow.record.scopes
        if not heads.rows:
            return cls(joined=joined, search=search)
        found, unproven = head_groups(probe, joined, heads, scopes, search)
        by_heads = joined_by_heads(joined, heads, scopes)
        return cls(found=found, unproven=unproven, joined=by_heads, search=search)

    def tied(
        self,
        probe: nn.Module,
        told_of: Sequence[Found],
        kept: list[Found],
        inputs: tuple[Tensor, ...],
    ) -> tuple[Sequence[Found], list[Found]]:
        """Return what `_resizable` does, with groups that attributes follow, or that are tied."""
        names = {each.name for each in kept}
        lost = [each for each in told_of if each.group is not None and each.name not in names]
        better = followed_groups(lost, self.search)
        names = {each.name for each in better}
        rest = beside_heads((each for each in lost if each.name not in names), self.unproven)
        rest = [each for each in rest if each.group is not None and each.group.role != "heads"]
        gone: set[str] = set()
        for one, parts in tied_groups(probe, self.joined, rest, self.unproven, self.search):
            better.append(one)
            gone |= {part.name for part in parts}
        if not better:
            return told_of, kept
        held = beside_heads([each for each in told_of if each.name not in gone], better)
        known = [each for each in held if each.name in {k.name for k in (*kept, *better)}]
        return held, _running(probe, known, inputs)


def prove_groups(module: nn.Module, example_inputs: ExampleInputs) -> TracedGroups:
    """Return the groups that ``module`` itself declares, with what holds of them.

    Every other channel is removed, as by `trace_groups`: a group where that changes the rest is
    ``kept``. Gates are behind BatchNorms where these close its channels, else at the readers. One
    with which the network runs at other widths only in evaluation is ``fixed``.

    Raises:
        SearchSpaceError: if a declaration does not fit the module's tensors.
    """
    declared = channel_groups(module)
    check_whole(module)
    module, inputs_given = by_position(module, example_inputs)
    generator = torch.Generator().manual_seed(_SEED)
    with _undisturbed(), _within(module, None):
        probe, inputs = network_probe(module, inputs_given, generator, double=True)
        closed = closed_by_norms(probe, declared, inputs)
        norms = find_norms(probe, inputs)
        gated = [
            replace(
                group,
                gate=group.gate if group.name in closed else "readers",
                normalised=norms_of_members(group, norms, probe),
            )
            for group in declared
        ]
        twin, names = training_twin(probe, inputs), {group.name for group in declared}
        if twin is not None:
            names = _resized(twin, declared, inputs)
        running = [group for group in gated if group.name in names]
        groups = _proven(module, running, inputs_given, generator)
    reasons = {group.name: _MODES for group in declared if group.name not in names}
    return TracedGroups(groups=groups, fixed=tuple(reasons), reasons=reasons)


@contextmanager
def _within(module: nn.Module, seconds: float | None) -> Iterator[None]:
    """Name the network where a trace of it takes too long or fails."""
    try:
        with time_limit(seconds_for(module, seconds)):
            yield
    except TimeLimitError as error:
        raise TimeLimitError(
            f"{type(module).__name__}: the trace of its channel groups was stopped: {error}"
        ) from error
    except SearchSpaceError:
        raise
    except Exception as error:  # whatever the module or torch raises, the cause is kept
        raise SearchSpaceError(
            f"{type(module).__name__} cannot be traced: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep seeds where they are, and what the network warns of while it is tried to itself."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), module_by_module():
        torch.manual_seed(_SEED)
        warnings.simplefilter("ignore")
        yield


def _proven(
    module: nn.Module,
    groups: Sequence[ChannelGroup],
    example_inputs: tuple[Tensor, ...],
    generator: torch.Generator,
) -> tuple[ChannelGroup, ...]:
    """Return the groups, those of which no channel can be removed exactly as ``kept``."""
    open_groups = [group for group in groups if not group.kept]
    proven: dict[str, frozenset[int]] = {}
    refuted: set[str] = set()
    for _ in range(_PROBES):
        # On another one a layer may be heard that was silent on this.
        probe, inputs = network_probe(module, example_inputs, generator, double=True)
        found = try_removal(probe, open_groups, inputs)
        refuted |= found.refuted
        for name, halves in found.proven.items():
            proven[name] = proven.get(name, frozenset()) | halves
        if all(g.name in refuted or len(proven.get(g.name, ())) == 2 for g in open_groups):
            break
    going = [group for group in open_groups if group.name not in refuted]
    training = _Training.of(probe, going, inputs)

    def reason(group: ChannelGroup) -> str:
        if group.kept or group.name in refuted:
            return group.kept or MIXING
        if group.name in training.refuted:
            return _MODES
        return "" if len(proven.get(group.name, ())) == 2 else _SILENT

    return tuple(replace(group, kept=reason(group), gate=training.gate(group)) for group in groups)


@dataclass(frozen=True, slots=True)
class _Training:
    """What does not hold of groups where the network trains.

    ``refuted`` cannot lose channels there, zeros behind the norms of ``open`` close none.
    """

    refuted: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, probe: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
    ) -> _Training:
        twin = training_twin(probe, inputs) if groups else None
        if twin is None:
            return cls()
        refuted = try_removal(twin, groups, inputs).refuted
        normed = [g for g in groups if g.gate == "norms" and g.name not in refuted]
        closed = closed_by_norms(twin, normed, inputs)
        return cls(refuted, frozenset(g.name for g in normed if g.name not in closed))

    def gate(self, group: ChannelGroup) -> Gating:
        return "readers" if group.name in self.open else group.gate


_PROBES = 8
_RELIED_ON = "its code or its other layers rely on its width"
_MODES = "its channels go another way where the network trains than where it is evaluated"
_SILENT = (
    "no effect of its channels on the outputs was seen on random inputs (a gradient of 0, as "
    "behind a detach, a rounding or a closed ReLU), so that nothing can be proven of them"
)


def declare_traced_groups(module: nn.Module, example_inputs: ExampleInputs) -> TracedGroups:
    """Trace ``module`` and make it declare what was found, as if it had been written so.

    Afterwards ``channel_groups(module)`` and ``resize(module, ...)`` work on it and on its deep
    copies. Nothing else changes.

    Raises:
        SearchSpaceError: if the network cannot be traced or has no group at all.
    """
    found = trace_groups(module, example_inputs)
    if not found.groups:
        raise SearchSpaceError(
            f"{type(module).__name__} has no channels that can be resized; {told(found.reasons)}"
        )
    declare_groups(module, found.groups)
    return found


def told(reasons: Mapping[str, str]) -> str:
    """Return one line that says which layers keep their width and why."""
    return "; ".join(f"{name} keeps its width: {reason}" for name, reason in reasons.items())


def _resizable(
    probe: nn.Module,
    joined: Joined,
    found: Sequence[Found],
    heads: Sequence[Found],
    inputs: tuple[Tensor, ...],
) -> tuple[Sequence[Found], list[Found]]:
    """Return all that was found, and the groups with which the network runs at other widths.

    Where it does not run, parts of one layer are tried at one ratio, then what is read together.
    """
    kept = _running(probe, found, inputs)
    names = {each.name for each in kept}
    lost = [each.name for each in found if each.group is not None and each.name not in names]
    for again in tied(joined, found, lost):
        together = beside_heads(found_groups(probe, again), heads)
        better = _running(probe, together, inputs)
        if len(together) - len(better) < len(found) - len(kept):
            return together, better
    return found, kept


def _running(probe: nn.Module, found: Sequence[Found], inputs: tuple[Tensor, ...]) -> list[Found]:
    groups = [each.group for each in found if each.group is not None]
    names = _resized(probe, told_sizes(groups), inputs)
    return [each for each in found if each.group is not None and each.name in names]


def _resized(
    probe: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> set[str]:
    """Return the names of those ``groups`` with which the network runs at other widths."""
    expected = _shapes(probe, inputs)
    kept = passing(groups, lambda some: _runs(probe, tuple(some), inputs, expected))
    return {group.name for group in kept}


def _runs(
    probe: nn.Module,
    groups: tuple[ChannelGroup, ...],
    inputs: tuple[Tensor, ...],
    expected: list[torch.Size],
) -> bool:
    check_time()
    trial = sharing_copy(probe)
    declare_groups(trial, groups)
    # Another step for each group: widths that only agree by accident come apart.
    sizes = {g.name: g.size + g.multiple * _step(place) for place, g in enumerate(groups)}
    try:
        resize(trial, sizes)
        return _shapes(trial, inputs) == expected
    except (RuntimeError, SearchSpaceError, ValueError, IndexError, TypeError, AssertionError):
        return False


def _step(place: int) -> int:
    """Return another odd number for each of the first groups; of many they come again."""
    return 2 * (place % _STEPS) + 1


_STEPS = 16


@torch.no_grad()
def _shapes(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[torch.Size]:
    with steady(module):
        return [each.shape for each in tensors_of(module(*inputs))]
