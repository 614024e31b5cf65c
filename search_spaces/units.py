"""Units: the parts that a network can run without, and how they are taken out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import (
    BatchNorm,
    ChannelGroup,
    DeclaresChannelGroups,
    named_tensors,
)
from search_spaces.errors import SearchSpaceError

# What a module is replaced by, and the length of the tuple that it puts out (0: a tensor).
StandIn = tuple[Literal["passes", "nothing"], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A growing unit of a stage: a residual block, or one convolution of a plain network.

    ``module`` is the path of its layers, a direct entry of the ModuleList that holds the stage.
    ``norm`` is the path of its last BatchNorm: with an output of zero there, a ``residual`` unit
    puts out what it takes in. ``groups`` names the channel groups whose members all lie inside. A
    unit that changes resolution or width, or that no stage may miss, is not ``detachable``.

    A unit that a trace has found (`trace_units`) is any branch that is added to a stream:
    ``standins`` are the modules that go with it, by path, and ``closing`` the parameters that make
    it add zeros if they are zero themselves, in the place of a last BatchNorm.

    Example:
        >>> from search_spaces import search_space, units
        >>> space = search_space("basic3resnet-digits")
        >>> first, second, *_ = units(space.build(space.largest()))
        >>> second.name, second.module, second.detachable
        ('stage0.unit1', 'stages.0.1', True)
    """

    name: str
    stage: str
    module: str
    norm: str
    residual: bool
    detachable: bool
    groups: tuple[str, ...] = ()
    standins: tuple[tuple[str, StandIn], ...] = ()
    closing: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all modules that go with the unit."""
        return tuple(path for path, _ in self.standins) or (self.module,)

    @property
    def last(self) -> tuple[str, ...]:
        """The parameters that close the unit when they are zero."""
        return self.closing or (f"{self.norm}.weight", f"{self.norm}.bias")

    def holds(self, name: str) -> bool:
        """Tell whether a tensor or layer of this name lies inside."""
        return any(f"{name}.".startswith(f"{path}.") for path in self.paths)


class Detached(nn.Identity):
    """Stands where a detached unit was; the input passes on as it is (arXiv 2007.15353, Eq. 2)."""


class PassedBy(nn.Module):
    """Stands where a traced unit, or a part of one, was: the first tensor passes on as it is.

    A module that put out a tuple is followed by one of the same length: the tensor, and None.
    """

    def __init__(self, length: int = 0) -> None:
        super().__init__()
        self.length = length

    def forward(self, *given: Any, **named: Any) -> Any:
        """Return the first tensor among the arguments."""
        return self._shaped(_first_tensor((*given, *named.values())))

    def _shaped(self, out: Tensor) -> Any:
        return (out, *(None for _ in range(self.length - 1))) if self.length else out

    def extra_repr(self) -> str:
        """Say how long the tuple is, if there is one."""
        return f"length={self.length}" if self.length else ""


class Nothing(PassedBy):
    """Stands where the last part of a branch was: zeros of the first tensor's shape."""

    def forward(self, *given: Any, **named: Any) -> Any:
        """Return zeros as large as the first tensor among the arguments."""
        return self._shaped(torch.zeros_like(_first_tensor((*given, *named.values()))))


def _first_tensor(given: Iterable[Any]) -> Tensor:
    found = next((each for each in given if isinstance(each, Tensor)), None)
    if found is None:
        raise TypeError("a unit that was detached is called without a tensor")
    return found


@runtime_checkable
class DeclaresUnits(Protocol):
    """A module that knows its own units."""

    def units(self) -> tuple[Unit, ...]:
        """Return the units that are in place, in the order of the stages."""
        ...


def units(module: nn.Module) -> tuple[Unit, ...]:
    """Return the units that ``module`` declares, checked against its layers; none is fine.

    Raises:
        SearchSpaceError: if a declaration does not fit its layers or channel groups.

    Example:
        >>> from search_spaces import search_space, units
        >>> space = search_space("basic3resnet-digits")
        >>> [unit.name for unit in units(space.build(space.largest())) if not unit.detachable]
        ['stage0.unit0', 'stage1.unit0', 'stage2.unit0']
    """
    if not isinstance(module, DeclaresUnits):
        return ()
    declared = module.units()
    assert isinstance(module, DeclaresChannelGroups)
    groups = {group.name: group for group in module.channel_groups()}
    for unit in declared:
        _check_unit(unit, module, groups)
    return declared


def _check_unit(unit: Unit, module: nn.Module, groups: dict[str, ChannelGroup]) -> None:
    if not isinstance(module.get_submodule(unit.norm), BatchNorm):
        raise SearchSpaceError(f"unit {unit.name}: {unit.norm} is no BatchNorm")
    if not f"{unit.norm}.".startswith(f"{unit.module}."):
        raise SearchSpaceError(f"unit {unit.name}: {unit.norm} lies outside {unit.module}")
    parent = unit.module.rpartition(".")[0]
    if not isinstance(module.get_submodule(parent), nn.ModuleList):
        raise SearchSpaceError(f"unit {unit.name}: {parent or 'its place'} is no ModuleList")
    for name in unit.groups:
        if name not in groups:
            raise SearchSpaceError(f"unit {unit.name}: no channel group {name!r} in the module")
        for member in groups[name].members:
            if not member.tensor.startswith(f"{unit.module}."):
                raise SearchSpaceError(
                    f"unit {unit.name}: {member.tensor} of group {name} lies outside {unit.module}"
                )


def unit_tensors(module: nn.Module, unit: Unit) -> Iterator[str]:
    """Yield the names of the parameters and buffers inside ``unit``."""
    return (name for name in named_tensors(module) if unit.holds(name))


def unit_layers(module: nn.Module, unit: Unit) -> dict[str, nn.Module]:
    """Return the modules that go with ``unit``, by path."""
    return {path: module.get_submodule(path) for path in unit.paths}


def detach(module: nn.Module, unit: Unit) -> Mapping[str, nn.Module]:
    """Put stand-ins in the place of ``unit`` and return its layers by path.

    The `Detached` of a declared unit can be closed up by `compact`; what stands in for a traced one
    stays where it is, for the network's own code may count its layers.
    """
    layers = unit_layers(module, unit)
    for path, kind in unit.standins or ((unit.module, None),):
        module.set_submodule(path, Detached() if kind is None else _STAND_INS[kind[0]](kind[1]))
    return layers


def is_detached(module: nn.Module, unit: Unit) -> bool:
    """Tell whether stand-ins are in the place of ``unit``."""
    return isinstance(module.get_submodule(unit.paths[0]), (Detached, PassedBy))


_STAND_INS: dict[str, type[PassedBy]] = {"passes": PassedBy, "nothing": Nothing}


def compact(module: nn.Module) -> None:
    """Close the gaps that detached units left: those behind them move up and change their names."""
    for stage in module.modules():
        if isinstance(stage, nn.ModuleList):
            kept = [layers for layers in stage if not isinstance(layers, Detached)]
            if len(kept) < len(stage):
                del stage[:]
                stage.extend(kept)


def count_units(present: Iterable[Unit]) -> dict[str, int]:
    """Return how many of these units each stage has."""
    counts: dict[str, int] = {}
    for unit in present:
        counts[unit.stage] = counts.get(unit.stage, 0) + 1
    return counts


def stage_units(
    stages: nn.ModuleList, *, norm: str, residual: bool, parts: tuple[str, ...] = ()
) -> tuple[Unit, ...]:
    """Declare every entry of every stage a unit; the first of a stage cannot be detached.

    Args:
        stages: the module's attribute ``stages``, a ModuleList a stage.
        norm: the path of the last BatchNorm within a unit.
        residual: whether a unit adds its input to its output.
        parts: the channel groups inside unit b of stage s are "stage{s}.block{b}" + part.
    """
    found = []
    for s, stage in enumerate(stages):
        assert isinstance(stage, nn.ModuleList)
        for b, layers in enumerate(stage):
            if not isinstance(layers, Detached):
                inside = tuple(f"stage{s}.block{b}{part}" for part in parts)
                path = f"stages.{s}.{b}"
                unit = Unit(
                    name=f"stage{s}.unit{b}",
                    stage=f"stage{s}",
                    module=path,
                    norm=f"{path}.{norm}",
                    residual=residual,
                    detachable=b > 0,
                    groups=inside,
                )
                found.append(unit)
    return tuple(found)
