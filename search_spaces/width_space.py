"""Search space of widths: one choice a channel group of its networks."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from search_spaces.errors import SearchSpaceError
from search_spaces.space import Architecture, Choice, ChoiceSpace, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthSpace(ChoiceSpace, ABC):
    """One integer choice a channel group, from 1 to the full configuration's width.

    `build` takes any width from 1 up: transforms widen networks past the full configuration.
    """

    name: str
    description: str
    input_shape: tuple[int, ...]
    num_classes: int = 10

    @abstractmethod
    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""

    @abstractmethod
    def network(self, widths: Mapping[str, int]) -> nn.Module:
        """Build the network with fresh weights from torch's default generator."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One width a channel group, on a logarithmic scale."""
        return tuple(
            Choice(name=name, low=1, high=width, log=True)
            for name, width in self.full_widths().items()
        )

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the network with fresh weights from torch's default generator.

        Raises:
            SearchSpaceError: if a group is missing or unknown, or a width is no integer above 0.
        """
        self.check_names(architecture)
        widths = {
            name: checked_width(self.name, name, architecture[name]) for name in self.full_widths()
        }
        return self.network(widths)

    def with_widths(self, architecture: Architecture, widths: Mapping[str, int]) -> Architecture:
        """Return the architecture with these channels a group."""
        return architecture.replace(widths)

    def example_inputs(self, batch: int = 1) -> tuple[Tensor]:
        """Return zeros of shape (batch, *input_shape)."""
        return (torch.zeros(batch, *self.input_shape),)

    def for_data(self, input_shape: tuple[int, ...], num_classes: int) -> Self:
        """Return the same space for another input shape and number of classes."""
        return dataclasses.replace(self, input_shape=input_shape, num_classes=num_classes)


def checked_width(space: str, group: str, width: Value) -> int:
    """Return ``width`` as an integer.

    Raises:
        SearchSpaceError: unless it is an integer above 0.
    """
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise SearchSpaceError(f"{space}: {group} = {width!r} is no integer above 0")
    return width
