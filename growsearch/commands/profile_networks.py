"""Networks to profile a device with: those of search spaces, narrow ones to widened ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cost_models.profiling.building import DrawnNetwork
from growsearch.errors import UsageError
from growsearch.kinds import Network
from growsearch.kinds.network import AppliedTransform
from growsearch.sparsity import sparsify
from growsearch.transforms import TRANSFORMS
from search_spaces import (
    Architecture,
    SearchSpace,
    SearchSpaceError,
    channel_groups,
    search_space,
    seeded,
)
from search_spaces.user_code import is_own

# A space draws its widths evenly, which makes networks of nearly one size. Scaling each network
# as a whole spreads their sizes, as a search under budgets does.
NARROWEST = 0.25
# Of the transforms: from doubling a network's weights to ten times as many.
_SPARSITIES = (0.5, 0.9)
# Of the networks for a device that skips zeros: so many stay dense, the others are so sparse.
_DENSE_SHARE = 0.2
_ZEROS = (0.5, 0.98)
_DISTRIBUTIONS = ("uniform", "erk")
# A transform may not fit a narrow network; then another one is drawn.
_DRAWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceNetworks:
    """Networks of several spaces, drawn by turns and scaled from `NARROWEST` to `widest`.

    `widest` 2 scales the widest networks to the space's full configuration on average, and single
    layers to twice that, as transforms do that widen. With `transforms`, each network has one of
    them or none. With `sparse`, most of those without a transform get random zeros, for a device
    that skips them.
    """

    spaces: tuple[SearchSpace, ...]
    batch_size: int = 1
    widest: float = 2.0
    transforms: tuple[str, ...] = ()
    sparse: bool = False

    @classmethod
    def named(
        cls,
        names: Sequence[str],
        *,
        batch_size: int = 1,
        widest: float = 2.0,
        transforms: Sequence[str] = (),
        input_shape: str | None = None,
        sparse: bool = False,
    ) -> SpaceNetworks:
        """Find the spaces; `input_shape` as in "1x8x8" replaces their own.

        Raises:
            UsageError: no such space or transform, or a value that is no shape or scale.
        """
        unknown = [name for name in transforms if name not in TRANSFORMS]
        if unknown:
            raise UsageError(f"--transform: unknown {unknown[0]!r}; valid: {', '.join(TRANSFORMS)}")
        if not widest > NARROWEST:
            raise UsageError(f"--widest: {widest} must be above {NARROWEST}; 2 is usual")
        try:
            spaces = tuple(search_space(name) for name in names)
        except SearchSpaceError as error:
            raise UsageError(f"--space: {error}") from error
        if input_shape is not None:
            shape = _parse_shape(input_shape)
            spaces = tuple(space.for_data(shape, space.num_classes) for space in spaces)
        for space in spaces:
            if is_own(space.name) and not space.input_shape:
                name = space.name.partition("@")[0]
                raise UsageError(
                    f"--input: {name} is your own, and says no shape of its inputs; give that of "
                    "one example, as 3x32x32"
                )
        return cls(
            spaces=spaces,
            batch_size=batch_size,
            widest=widest,
            transforms=tuple(transforms),
            sparse=sparse,
        )

    @property
    def description(self) -> Mapping[str, Any]:
        """Say what is drawn from, as plain data."""
        return {
            "spaces": [space.name for space in self.spaces],
            "input_shapes": [list(space.input_shape) for space in self.spaces],
            "scale": [NARROWEST, self.widest],
            "transforms": list(self.transforms),
            "sparse": self.sparse,
        }

    def draw(self, generator: torch.Generator) -> DrawnNetwork:
        """Draw one network, with random weights.

        Raises:
            UsageError: none of many networks drawn can be transformed.
        """
        for attempt in range(_DRAWS):
            space = self.spaces[_below(len(self.spaces), generator)]
            network = Network(
                architecture=self._architecture(space, generator),
                input_shape=space.input_shape,
                num_classes=space.num_classes,
                transform=self._transform(generator),
            )
            with seeded(_below(2**31, generator)):
                try:
                    module = network.build().eval()
                    break
                except UsageError:
                    if attempt == _DRAWS - 1:
                        raise
        zeros = self._zeros(module, generator) if self.sparse and not network.transform else {}
        return DrawnNetwork(
            name="-".join([network.hash, *map(str, zeros.values())]),
            module=module,
            inputs=space.example_inputs(self.batch_size),
            description={**network.to_json(), **zeros},
        )

    def _zeros(self, module: nn.Module, generator: torch.Generator) -> dict[str, Any]:
        """Give most networks zeros, as many and shared out at random; say which."""
        if float(torch.rand((), generator=generator)) < _DENSE_SHARE:
            return {}
        low, high = _ZEROS
        share = float(torch.rand((), generator=generator))
        distribution = _DISTRIBUTIONS[_below(len(_DISTRIBUTIONS), generator)]
        sparsity = round(low + (high - low) * share, 3)
        sparsify(module, sparsity=sparsity, distribution=distribution, generator=generator)
        return {"sparsity": sparsity, "distribution": distribution}

    def _architecture(self, space: SearchSpace, generator: torch.Generator) -> Architecture:
        architecture = space.sample(generator)
        scale = self._scale(generator)
        # Only its widths are wanted; own code may look at values, which nothing has on "meta".
        with nullcontext() if is_own(space.name) else torch.device("meta"):
            groups = channel_groups(space.build(architecture))
        widths = {group.name: _scaled(group.size, group.multiple, scale) for group in groups}
        return space.with_widths(architecture, widths)

    def _transform(self, generator: torch.Generator) -> AppliedTransform | None:
        place = _below(len(self.transforms) + 1, generator)
        if place == len(self.transforms):
            return None
        low, high = _SPARSITIES
        sparsity = low + (high - low) * float(torch.rand((), generator=generator))
        return AppliedTransform(name=self.transforms[place], sparsity=round(sparsity, 3))

    def _scale(self, generator: torch.Generator) -> float:
        share = float(torch.rand((), generator=generator))
        return NARROWEST * math.exp(share * math.log(self.widest / NARROWEST))


def _below(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (1,), generator=generator))


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
