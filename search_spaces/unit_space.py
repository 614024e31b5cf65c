"""Search space of units: the choices are how many each stage has, and their widths."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from search_spaces.errors import SearchSpaceError
from search_spaces.space import Architecture, Choice
from search_spaces.width_space import WidthSpace, checked_width


@runtime_checkable
class ChoosesUnits(Protocol):
    """A search space with networks of different depths."""

    def with_units(self, architecture: Architecture, counts: Mapping[str, int]) -> Architecture:
        """Return the architecture with so many units a stage."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSpace(WidthSpace):
    """One integer choice a stage, "stage{s}.units", and one a channel group.

    The full configuration has ``most_units`` units a stage; every stage has at least one. The
    widths inside a unit are choices of those architectures only that have the unit.
    """

    most_units: tuple[int, ...]

    @abstractmethod
    def shared_widths(self) -> dict[str, int]:
        """Return the full configuration's channels of groups that every network has."""

    @abstractmethod
    def unit_widths(self, stage: int) -> dict[str, int]:
        """Return the full configuration's channels inside a unit, by the ending of its groups.

        A group's name is "stage{stage}.block{b}" and the ending, b being the unit's position.
        """

    @abstractmethod
    def unit_network(self, counts: tuple[int, ...], widths: Mapping[str, int]) -> nn.Module:
        """Build the network of so many units a stage with fresh weights."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The units of every stage, then one width a channel group, on a logarithmic scale."""
        counts = [
            Choice(name=_units_of(s), low=1, high=most) for s, most in enumerate(self.most_units)
        ]
        shared = [
            Choice(name=name, low=1, high=width, log=True)
            for name, width in self.shared_widths().items()
        ]
        inside = [
            Choice(name=name, low=1, high=width, log=True, requires=(_units_of(s), b + 1))
            for s, most in enumerate(self.most_units)
            for b in range(most)
            for name, width in self._inside(s, b).items()
        ]
        return (*counts, *shared, *inside)

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        return self._widths(self.most_units)

    def network(self, widths: Mapping[str, int]) -> nn.Module:
        """Build the network of all units with fresh weights from torch's default generator."""
        return self.unit_network(self.most_units, widths)

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with fresh weights from torch's default generator.

        Widths may be above the full configuration's, numbers of units may not.

        Raises:
            SearchSpaceError: if a choice is missing or unknown, or a value is out of range.
        """
        given = dict(architecture.choices)
        # Numbers of units first: which widths there must be depends on them.
        for s in range(len(self.most_units)):
            if _units_of(s) in given:
                self._count(architecture, s)
        self.check_names(architecture)
        counts = tuple(self._count(architecture, s) for s in range(len(self.most_units)))
        widths = {
            name: checked_width(self.name, name, architecture[name])
            for name in self._widths(counts)
        }
        return self.unit_network(counts, widths)

    def with_units(self, architecture: Architecture, counts: Mapping[str, int]) -> Architecture:
        """Return the architecture with so many units a stage ("stage0": 3).

        New units have the full configuration's widths inside.

        Raises:
            SearchSpaceError: for a stage that is not there or a number out of range.
        """
        stages = [f"stage{s}" for s in range(len(self.most_units))]
        unknown = sorted(set(counts) - set(stages))
        if unknown:
            raise SearchSpaceError(
                f"{self.name}: unknown stage {unknown[0]!r}; known: {', '.join(stages)}"
            )
        wanted = architecture.replace({f"{stage}.units": n for stage, n in counts.items()})
        final = tuple(self._count(wanted, s) for s in range(len(stages)))
        units = {_units_of(s): count for s, count in enumerate(final)}
        known = dict(wanted.choices)
        widths = {name: known.get(name, full) for name, full in self._widths(final).items()}
        return Architecture.of(self.name, {**units, **widths})

    def _count(self, architecture: Architecture, stage: int) -> int:
        name, most = _units_of(stage), self.most_units[stage]
        value = architecture[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise SearchSpaceError(
                f"{self.name}: {name} = {value!r} is not an integer from 1 to {most}"
            )
        return value

    def _widths(self, counts: tuple[int, ...]) -> dict[str, int]:
        widths = self.shared_widths()
        for s, count in enumerate(counts):
            for b in range(count):
                widths |= self._inside(s, b)
        return widths

    def _inside(self, stage: int, unit: int) -> dict[str, int]:
        return {
            f"stage{stage}.block{unit}{ending}": width
            for ending, width in self.unit_widths(stage).items()
        }


def _units_of(stage: int) -> str:
    return f"stage{stage}.units"
