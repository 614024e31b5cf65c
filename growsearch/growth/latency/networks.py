"""Networks that a device is asked about: some of every size, and those that a run comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from growsearch.growth.budget.structures import Structures
from search_spaces import Architecture, ChoosesUnits, SearchSpace, Unit
from search_spaces.traced_space import OwnSpace
from search_spaces.units import count_units

# Widths go down to this share of the full ones, or to one channel, and scatter around their
# network's common share by this deviation of the logarithm: as unevenly as growth would have it.
_MIN_SHARE, _SCATTER = 1 / 16, 0.35


def sampled_sizes(
    structures: Structures, count: int, generator: torch.Generator
) -> list[list[int]]:
    """Return the sizes of ``count`` networks in the order of ``structures.names``.

    The first is the full configuration, the second the least; shares of the others are spread
    evenly on a logarithmic scale.
    """
    rows = [list(structures.sizes), structures.counts(structures.seed())]
    least, others = max(_MIN_SHARE, 1 / max(structures.sizes)), count - len(rows)
    shares = [least ** ((place + 0.5) / others) for place in range(others)]
    return [*rows, *(_drawn(structures, share, generator) for share in shares)]


def _drawn(structures: Structures, share: float, generator: torch.Generator) -> list[int]:
    noise = torch.randn(len(structures.names), generator=generator).tolist()
    coins = torch.rand(len(structures.names), generator=generator).tolist()
    sizes = {
        name: max(1, min(size, round(size * share * math.exp(_SCATTER * each))))
        for name, size, each in zip(structures.names, structures.sizes, noise, strict=True)
    }
    for name, coin in zip(structures.names, coins, strict=True):
        if name in structures.inside:
            sizes[name] = int(coin < math.sqrt(share))
            for group in structures.inside[name]:
                sizes[group] *= sizes[name]
    return list(sizes.values())


def architecture_at(
    space: SearchSpace, declared: tuple[Unit, ...], widths: Mapping[str, int]
) -> Architecture:
    """Return the compact network with so many live structures of every name.

    ``declared`` are the full configuration's units; of those that ``widths`` names, the ones with 1
    run. What runs moves up to the first places of its stage, and its groups' names with it.
    """
    if isinstance(space, OwnSpace):
        gone = [unit for unit in declared if not widths.get(unit.name, 1)]
        left = {group for unit in gone for group in unit.groups} | {unit.name for unit in declared}
        architecture = space.without_units(space.largest(), [unit.name for unit in gone])
        return space.with_widths(architecture, {n: w for n, w in widths.items() if n not in left})
    if not isinstance(space, ChoosesUnits):
        return space.with_widths(space.largest(), widths)
    running = [unit for unit in declared if widths.get(unit.name, 1)]
    inside = {group for unit in declared for group in unit.groups}
    units = {unit.name for unit in declared}
    sizes = {n: w for n, w in widths.items() if n not in inside and n not in units}
    for stage in count_units(declared):
        places = (unit for unit in declared if unit.stage == stage)
        kept = (unit for unit in running if unit.stage == stage)
        for place, unit in zip(places, kept, strict=False):
            sizes |= {new: widths[old] for new, old in zip(place.groups, unit.groups, strict=True)}
    architecture = space.with_units(space.largest(), count_units(running))
    return space.with_widths(architecture, sizes)
