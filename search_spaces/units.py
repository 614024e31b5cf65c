"""Units: the parts that a network can run without, and how they are taken out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from search_spaces.channel_groups import (
    BatchNorm,
    ChannelGroup,
    DeclaresChannelGroups,
    named_tensors,
)
from search_spaces.errors import SearchSpaceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A growing unit of a stage: a residual block, or one convolution of a plain network.

    ``module`` is the path of its layers, a direct entry of the ModuleList that holds the stage.
    ``norm`` is the path of its last BatchNorm: with an output of zero there, a ``residual`` unit
    puts out what it takes in. ``groups`` names the channel groups whose members all lie inside. A
    unit that changes resolution or width, or that no stage may miss, is not ``detachable``.

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


class Detached(nn.Identity):
    """Stands where a detached unit was; the input passes on as it is (arXiv 2007.15353, Eq. 2)."""


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
    return (name for name in named_tensors(module) if name.startswith(f"{unit.module}."))


def detach(module: nn.Module, unit: Unit) -> nn.Module:
    """Put a `Detached` in the place of ``unit`` and return its layers."""
    layers = module.get_submodule(unit.module)
    module.set_submodule(unit.module, Detached())
    return layers


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
