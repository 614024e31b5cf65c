"""Tracing of channel groups: which channels of any network must be resized together.

What belongs together is proven by perturbation (`channel_discovery`), then by resizing, and what
may be removed while a network trains by removing it (`channel_removal`). What cannot be proven
keeps its width, and the reason is told.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, channel_groups, named_tensors, resize
from search_spaces.errors import SearchSpaceError
from search_spaces.keyword_inputs import ExampleInputs, by_position
from search_spaces.tracing.channel_discovery import MIXING, discover_groups
from search_spaces.tracing.channel_gates import gated_group
from search_spaces.tracing.channel_removal import closed_by_norms, try_removal
from search_spaces.tracing.network_probe import network_probe
from search_spaces.tracing.operator_record import record_operators, tensors_of
from search_spaces.tracing.time_limit import TimeLimitError, check_time, seconds_for, time_limit

_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedGroups:
    """What a trace has found.

    ``groups`` can be resized. ``fixed`` are layers whose outputs cannot, by path: the classifier,
    and those whose width the code itself relies on (attention heads, concatenated channels).
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
    `ChannelGroup`). What fails the first two is ``fixed``, not guessed.

    Args:
        module: any layers, and functions with parameters. Grouped convolutions that are not
            depthwise are fixed, and weights that are computed from parameters at every call.
        example_inputs: positional inputs, or inputs by the names of arguments, each with the batch
            on axis 0. Values of floating inputs do not matter.
        trace_seconds: how long it may take, of one core's processor time. None is what an attribute
            of this name of ``module`` says, else 60.

    Raises:
        SearchSpaceError: if the network cannot be traced, or takes longer.
    """
    module, inputs_given = by_position(module, example_inputs)
    generator = torch.Generator().manual_seed(_SEED)
    with _undisturbed(), _within(module, trace_seconds):
        probe, inputs = network_probe(module, inputs_given, generator)
        record = record_operators(probe, inputs)
        found = discover_groups(probe, record, generator)
        gated = [
            gated_group(probe, record, each, generator) for each in found if each.group is not None
        ]
        resizable = _resizable(probe, gated, inputs)
        groups = _proven(module, resizable, inputs_given, generator)
    names = {group.name for group in groups}
    reasons = {
        each.name: each.reason or "its code or its other layers rely on its width"
        for each in found
        if each.name not in names
    }
    return TracedGroups(groups=groups, fixed=tuple(reasons), reasons=reasons)


def prove_groups(module: nn.Module, example_inputs: ExampleInputs) -> TracedGroups:
    """Return the groups that ``module`` itself declares, with what holds of them.

    Every other channel is removed, as by `trace_groups`: a group where that changes the rest is
    ``kept``. Gates are behind BatchNorms where these close its channels, else at the readers.

    Raises:
        SearchSpaceError: if a declaration does not fit the module's tensors.
    """
    declared = channel_groups(module)
    module, inputs_given = by_position(module, example_inputs)
    generator = torch.Generator().manual_seed(_SEED)
    with _undisturbed(), _within(module, None):
        probe, inputs = network_probe(module, inputs_given, generator, double=True)
        closed = closed_by_norms(probe, declared, inputs)
        gated = [g if g.name in closed else replace(g, gate="readers") for g in declared]
        groups = _proven(module, gated, inputs_given, generator)
    return TracedGroups(groups=groups, fixed=())


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
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
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

    def reason(group: ChannelGroup) -> str:
        if group.kept or group.name in refuted:
            return group.kept or MIXING
        return "" if len(proven.get(group.name, ())) == 2 else _SILENT

    return tuple(replace(group, kept=reason(group)) for group in groups)


_PROBES = 8
_SILENT = "the outputs do not depend on its channels, so that nothing can be proven of them"


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


class _Declaration:
    """The method ``channel_groups()`` of a traced module; copies and pickles go with the module."""

    def __init__(self, owner: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
        self._owner = owner
        self._groups = groups

    def __call__(self) -> tuple[ChannelGroup, ...]:
        """Return the groups with the sizes that the module's tensors have now."""
        tensors = named_tensors(self._owner)
        return tuple(replace(group, size=_size(group, tensors)) for group in self._groups)


def declare_groups(module: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
    """Make ``module`` declare groups that a trace of the same network has found."""
    module.channel_groups = _Declaration(module, groups)  # type: ignore[assignment]


def _size(group: ChannelGroup, tensors: dict[str, Tensor]) -> int:
    first = group.members[0]
    return tensors[first.tensor].shape[first.axis] // first.entries_per_channel


def _resizable(
    probe: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> tuple[ChannelGroup, ...]:
    expected = _shapes(probe, inputs)
    kept = tuple(groups)
    if not _runs(probe, kept, inputs, expected):
        kept = tuple(g for g in groups if _runs(probe, (g,), inputs, expected))
    if not _runs(probe, kept, inputs, expected):
        raise SearchSpaceError(
            "the traced channel groups can be resized one by one but not together; "
            "give the network a method channel_groups()"
        )
    return kept


def _runs(
    probe: nn.Module,
    groups: tuple[ChannelGroup, ...],
    inputs: tuple[Tensor, ...],
    expected: list[torch.Size],
) -> bool:
    check_time()
    trial = copy.deepcopy(probe)
    declare_groups(trial, groups)
    # Another step for each group: widths that only agree by accident come apart.
    sizes = {g.name: g.size + g.multiple * (2 * place + 1) for place, g in enumerate(groups)}
    try:
        resize(trial, sizes)
        return _shapes(trial, inputs) == expected
    except (RuntimeError, SearchSpaceError, ValueError, IndexError, TypeError, AssertionError):
        return False


@torch.no_grad()
def _shapes(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[torch.Size]:
    return [each.shape for each in tensors_of(module(*inputs))]
