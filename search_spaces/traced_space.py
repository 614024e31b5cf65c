"""Search space of a person's own network, whose channel groups are found by tracing it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.axes.axis_parts import Member
from search_spaces.channel_groups import (
    ChannelGroup,
    DeclaresChannelGroups,
    axes_by_tensor,
    channel_groups,
    entries_by_axis,
    frozen_member,
    frozen_tensors,
    named_tensors,
    reinitialise,
    resize,
)
from search_spaces.errors import SearchSpaceError
from search_spaces.own_networks.plain_weights import check_plain_weights
from search_spaces.own_networks.whole_networks import (
    check_unscripted,
    check_whole,
    give_shapes,
    without_wrappers,
)
from search_spaces.randomness import random_state_kept
from search_spaces.space import Architecture
from search_spaces.trace_groups import (
    TracedGroups,
    declare_groups,
    prove_groups,
    told,
    trace_groups,
)
from search_spaces.trace_units import UNIT, trace_units
from search_spaces.tracing.found_groups import OUTPUTS
from search_spaces.units import Unit, detach
from search_spaces.user_code import arguments_for, find, pinned
from search_spaces.width_space import WidthSpace

# BatchNorm wants more than one example where it trains; what is traced is not trained.
_TRACED_BATCH = 2
_TRACES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSpace(WidthSpace):
    """All widths of a network that ``name``, "module:attribute@hash", makes.

    The attribute is a class or function; it may take ``num_classes`` and ``input_shape`` (without
    the batch axis) by name. Groups are what the network declares, or what `trace_groups` finds; the
    first layer's name is the group's. At its full widths the network is as it comes, its own
    initialisation included. At others every layer draws its weights with ``reset_parameters``, and
    the network's own method of that name, if it has one, comes last. Parameters that nothing draws
    have the values that the network gave their first channels. Frozen layers keep their
    values and shapes at any widths of the others.
    """

    def full_widths(self) -> dict[str, int]:
        """Return the channels by group of the network as it comes.

        Groups with frozen weights (``requires_grad`` is False) have one width only and are left
        out.
        """
        held = self.frozen_groups()
        return {g.name: g.size for g in _traced(self).groups if g.name not in held}

    def frozen_groups(self) -> Mapping[str, int]:
        """Return the channels of the groups that frozen weights hold at their width, by name."""
        return dict(_frozen(self))

    def fixed_layers(self) -> Mapping[str, str]:
        """Return the layers whose width cannot be chosen, by path, and why; not the outputs."""
        reasons = _traced(self).reasons.items()
        return {name: reason for name, reason in reasons if reason != OUTPUTS}

    def with_widths(self, architecture: Architecture, widths: Mapping[str, int]) -> Architecture:
        """Return the architecture with these channels a group; frozen ones have all of theirs.

        Raises:
            SearchSpaceError: for another width of a frozen group.
        """
        held = self.frozen_groups()
        for name, width in widths.items():
            if held.get(name, width) != width:
                raise SearchSpaceError(
                    f"{self.name}: {name} has frozen weights and keeps its {held[name]} channels"
                )
        return architecture.replace({n: w for n, w in widths.items() if n not in held})

    def traced_units(self) -> tuple[Unit, ...]:
        """Return the branches that the network can do without; see `trace_units`."""
        return _traced_units(self)

    def without_units(self, architecture: Architecture, names: Iterable[str]) -> Architecture:
        """Return the architecture without the traced units of these names.

        Such a network has a choice "unit:PATH" of 0 for each, and no width of a group inside one.
        Of those that have all of their units nothing is said.
        """
        gone = {unit.name: unit for unit in self._units(names)}
        inside = {group for unit in gone.values() for group in unit.groups}
        kept = {name: value for name, value in architecture.choices if name not in inside}
        return Architecture.of(self.name, kept | dict.fromkeys(gone, 0))

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with fresh weights from torch's default generator.

        Raises:
            SearchSpaceError: if a group or unit is missing or unknown, or a width is no integer
                above 0.
        """
        given = dict(architecture.choices)
        names = [name for name in given if name.startswith(UNIT)]
        if not names:
            return super(OwnSpace, self).build(architecture)
        gone = self._units(names)
        for name in names:
            if given.pop(name) != 0:
                raise SearchSpaceError(f"{self.name}: {name} is 0 where the unit is left out")
        inside = {group for unit in gone for group in unit.groups}
        wrong = sorted(inside & given.keys())
        if wrong:
            raise SearchSpaceError(f"{self.name}: {wrong[0]!r} lies in a unit that is left out")
        full = {n: width for n, width in self.full_widths().items() if n in inside}
        module = super(OwnSpace, self).build(Architecture.of(architecture.space, given | full))
        for unit in gone:
            detach(module, unit)
        return module

    def _units(self, names: Iterable[str]) -> list[Unit]:
        known = {unit.name: unit for unit in self.traced_units()}
        unknown = sorted(set(names) - known.keys())
        if unknown:
            raise SearchSpaceError(
                f"{self.name}: unknown unit {unknown[0]!r}; known: {', '.join(known) or 'none'}"
            )
        return [unit for name, unit in known.items() if name in set(names)]

    def network(self, widths: Mapping[str, int]) -> nn.Module:
        """Build the network with fresh weights from torch's default generator.

        Raises:
            SearchSpaceError: if it cannot be made.
        """
        module = self.fresh()
        # Also where it declares them itself: what has been proven of them goes with the module.
        declare_groups(module, _traced(self).groups)
        if any(widths[name] != size for name, size in self.full_widths().items()):
            _resized(module, widths)
        return module

    def fresh(self) -> nn.Module:
        """Return the network as it comes, without wrappers and with every lazy tensor's shape.

        Raises:
            SearchSpaceError: if it cannot be made.
        """
        module = self.made()
        check_unscripted(module)
        module = without_wrappers(module)
        give_shapes(module, self.example_inputs(_TRACED_BATCH))
        return module

    def example_inputs(self, batch: int = 1) -> tuple[Tensor]:
        """Return zeros of shape (batch, *input_shape), or words where the network reads such.

        It does if it takes whole numbers (N, T) and no others; the words are below ``num_classes``,
        as those of a language model are.
        """
        if not _reads_words(self):
            return super(OwnSpace, self).example_inputs(batch)
        return (_words(batch, self),)

    def made(self) -> nn.Module:
        """Return the network as it comes, nothing taken off and nothing given to it.

        Raises:
            SearchSpaceError: if it cannot be made.
        """
        make = find(self.name)
        offered = {"num_classes": self.num_classes, "input_shape": self.input_shape}
        given = arguments_for(make, offered)
        try:
            module = make(**given)
        except Exception as error:
            raise SearchSpaceError(
                f"{self.name}: making it fails: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(module, nn.Module):
            raise SearchSpaceError(f"{self.name} makes a {type(module).__name__}, no nn.Module")
        return module


def _words(batch: int, space: OwnSpace) -> Tensor:
    (length,) = space.input_shape
    return (torch.arange(batch * length) % space.num_classes).view(batch, length)


@functools.lru_cache(maxsize=_TRACES)
def _reads_words(space: OwnSpace) -> bool:
    """Try whether the network refuses a row of floats, and takes one of whole numbers."""
    if len(space.input_shape) != 1:
        return False
    # On the CPU also where a network is read whose weights are not to be made.
    with random_state_kept(), torch.device("cpu"):
        words = _words(_TRACED_BATCH, space)
        return not _takes(space, words.float()) and _takes(space, words)


def _takes(space: OwnSpace, inputs: Tensor) -> bool:
    # Made anew: what a lazy layer has seen stays with it.
    module = without_wrappers(space.made()).eval()
    try:
        with torch.no_grad():
            module(inputs)
    except Exception:  # whatever the module or torch raises; a trace of it tells the person
        return False
    return True


def own_space(name: str) -> Any:
    """Return the space of own code: a `SearchSpace` object, or the widths of a network.

    Raises:
        SearchSpaceError: if it is not found, has changed, or is something else.
    """
    name, found = pinned(name), find(name)
    if all(hasattr(found, part) for part in ("build", "for_data", "with_widths", "largest")):
        if not dataclasses.is_dataclass(found) or isinstance(found, type):
            raise SearchSpaceError(f"{name}: make the space an object of a dataclass, as ours are")
        # Architectures are found again by this name.
        return dataclasses.replace(found, name=name)
    if isinstance(found, nn.Module):
        raise SearchSpaceError(
            f"{name} is a network that exists; name the class or function that makes it, so that "
            "every trial starts from fresh weights"
        )
    if not callable(found):
        raise SearchSpaceError(f"{name} is a {type(found).__name__}; name a class or function")
    return OwnSpace(name=name, description="your own network", input_shape=())


def _frozen(space: OwnSpace) -> tuple[tuple[str, int], ...]:
    frozen = _traced_and_frozen(space)[1]
    groups = _traced(space).groups
    return tuple((g.name, g.size) for g in groups if frozen_member(g, frozen) is not None)


def _traced(space: OwnSpace) -> TracedGroups:
    return _traced_and_frozen(space)[0]


@functools.lru_cache(maxsize=_TRACES)
def _traced_and_frozen(space: OwnSpace) -> tuple[TracedGroups, frozenset[str]]:
    """Trace the network once for a data set, and check that it fits the data."""
    # A trace must not move the seed of the trial that asks for it.
    with random_state_kept():
        module = space.fresh()
        check_whole(module)
        check_plain_weights(module)
        inputs = space.example_inputs(_TRACED_BATCH)
        _check_output(space, module, inputs)
        if isinstance(module, DeclaresChannelGroups):
            found = prove_groups(module, inputs)
        else:
            found = trace_groups(module, inputs)
    if not found.groups:
        raise SearchSpaceError(
            f"{space.name} has no channels that can be resized; all layers are fixed: "
            f"{', '.join(found.fixed)}. Give it a method channel_groups(). {told(found.reasons)}"
        )
    return found, frozen_tensors(module)


@functools.lru_cache(maxsize=_TRACES)
def _traced_units(space: OwnSpace) -> tuple[Unit, ...]:
    groups = _traced(space).groups
    # Also where a network is read whose weights are not to be made.
    with random_state_kept(), torch.device("cpu"):
        return trace_units(space.fresh(), groups, space.example_inputs(_TRACED_BATCH))


def _check_output(space: OwnSpace, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    shape = tuple(space.input_shape)
    wanted_inputs = _required_inputs(module)
    if len(wanted_inputs) != len(inputs) and len(wanted_inputs) > 1:
        raise SearchSpaceError(
            f"{space.name} takes {len(wanted_inputs)} inputs ({', '.join(wanted_inputs)}), and "
            "data give one: let it take one tensor, such as the inputs side by side, and take it "
            "apart"
        )
    try:
        with torch.no_grad():
            out = module.eval()(*inputs)
    except Exception as error:
        raise SearchSpaceError(
            f"{space.name} does not take inputs of shape {shape}: {type(error).__name__}: {error}"
        ) from error
    wanted = (_TRACED_BATCH, space.num_classes)
    if not isinstance(out, Tensor):
        raise SearchSpaceError(
            f"{space.name} gives a {type(out).__name__}, and one tensor is wanted; let several "
            "heads stand side by side along its last axis, where an own task can take them apart"
        )
    got = tuple(out.shape)
    # Between the two there may be a score a pixel.
    if len(got) < len(wanted) or (got[0], got[-1]) != wanted:
        raise SearchSpaceError(
            f"{space.name} gives {got} for a batch of {_TRACED_BATCH}, but the data has "
            f"{space.num_classes} classes, so that {wanted} is expected; "
            "let it take num_classes by name"
        )


def _required_inputs(module: nn.Module) -> list[str]:
    """Return the arguments without which the forward pass of ``module`` cannot run."""
    given = inspect.signature(module.forward).parameters.items()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, p in given if p.default is p.empty and p.kind not in several]


@torch.no_grad()
def _resized(module: nn.Module, widths: Mapping[str, int]) -> None:
    frozen, groups = _frozen_values(module), channel_groups(module)
    before = {name: tensor.detach().clone() for name, tensor in named_tensors(module).items()}
    resize(module, widths)
    tensors = named_tensors(module)
    changed = [name for name, tensor in tensors.items() if tensor.shape != before[name].shape]
    for name in changed:
        tensors[name].detach().fill_(float("nan"))
    reinitialise(module)
    own = getattr(module, "reset_parameters", None)
    if callable(own):
        own()
    axes = axes_by_tensor(groups)
    for name in changed:
        if bool(tensors[name].isnan().any()):
            tensors[name].copy_(_first_channels(before[name], axes[name], widths))
    for name, value in frozen.items():
        tensors[name].copy_(value)


def _first_channels(
    value: Tensor, axes: Iterable[tuple[int, ChannelGroup, Member]], widths: Mapping[str, int]
) -> Tensor:
    """Return what the network itself gave the first channels; behind the last, they repeat."""
    axes = tuple(axes)
    chosen = {
        group.name: torch.arange(widths.get(group.name, group.size)) % group.size
        for _, group, _ in axes
    }
    for axis, entries in entries_by_axis(axes, chosen).items():
        value = value.index_select(axis, entries)
    return value


def _frozen_values(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of frozen parameters, and of the buffers of layers that have no others."""
    frozen = frozen_tensors(module)
    found: dict[str, Tensor] = {}
    for path, layer in module.named_modules():
        prefix = f"{path}." if path else ""
        own = [f"{prefix}{name}" for name, _ in layer.named_parameters(recurse=False)]
        held = [name for name in own if name in frozen]
        if held and held == own:
            held += [f"{prefix}{name}" for name, _ in layer.named_buffers(recurse=False)]
        found |= {name: named_tensors(module)[name].detach().clone() for name in held}
    return found
