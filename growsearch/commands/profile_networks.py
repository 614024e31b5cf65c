"""Which networks is a device profiled with? Those of search spaces, narrow ones to widened ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cost_models.profiling.building import DrawnNetwork
from growsearch.errors import UsageError
from search_spaces import SearchSpace, SearchSpaceError, channel_groups, search_space

# A space draws its widths evenly, which makes networks of nearly one size. Scaling each network
# as a whole spreads their sizes, as a search under budgets does.
NARROWEST = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceNetworks:
    """Networks of several spaces, drawn by turns and scaled from `NARROWEST` to `widest`.

    `widest` 2 scales the widest networks to the space's full configuration on average, and single
    layers to twice that, as transforms do that widen.
    """

    spaces: tuple[SearchSpace, ...]
    batch_size: int = 1
    widest: float = 2.0

    @classmethod
    def named(
        cls, names: Sequence[str], *, batch_size: int, widest: float, input_shape: str | None
    ) -> SpaceNetworks:
        """Find the spaces; `input_shape` as in "1x8x8" replaces their own.

        Raises:
            UsageError: no such space, or a value that is no shape or scale.
        """
        if not widest > NARROWEST:
            raise UsageError(f"--widest: {widest} must be above {NARROWEST}; 2 is usual")
        try:
            spaces = tuple(search_space(name) for name in names)
        except SearchSpaceError as error:
            raise UsageError(f"--space: {error}") from error
        if input_shape is not None:
            shape = _parse_shape(input_shape)
            spaces = tuple(space.for_data(shape, space.num_classes) for space in spaces)
        return cls(spaces=spaces, batch_size=batch_size, widest=widest)

    @property
    def description(self) -> Mapping[str, Any]:
        """Say what is drawn from, as plain data."""
        return {
            "spaces": [space.name for space in self.spaces],
            "input_shapes": [list(space.input_shape) for space in self.spaces],
            "scale": [NARROWEST, self.widest],
        }

    def draw(self, generator: torch.Generator) -> DrawnNetwork:
        """Draw one network, with random weights."""
        space = self.spaces[int(torch.randint(len(self.spaces), (1,), generator=generator))]
        architecture = space.sample(generator)
        scale = self._scale(generator)
        with torch.device("meta"):  # only its widths are wanted
            groups = channel_groups(space.build(architecture))
        widths = {group.name: _scaled(group.size, group.multiple, scale) for group in groups}
        scaled = space.with_widths(architecture, widths)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
            module = space.build(scaled).eval()
        return DrawnNetwork(
            name=scaled.hash,
            module=module,
            inputs=space.example_inputs(self.batch_size),
            description=scaled.to_json(),
        )

    def _scale(self, generator: torch.Generator) -> float:
        share = float(torch.rand((), generator=generator))
        return NARROWEST * math.exp(share * math.log(self.widest / NARROWEST))


def _scaled(size: int, multiple: int, scale: float) -> int:
    return max(1, round(size * scale / multiple)) * multiple


def _parse_shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split("x"))
    except ValueError:
        shape = ()
    if not shape or any(size < 1 for size in shape):
        raise UsageError(f"--input: {text!r} is no shape; write for example 3x32x32")
    return shape
