"""Growth of layers: the units of a network, and its architecture once some have gone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.growth.budget.structures import Structures
from search_spaces import Architecture, ChoosesUnits, SearchSpace, Unit, channel_groups, units
from search_spaces.traced_space import OwnSpace
from search_spaces.units import PassedBy, count_units, is_detached


def declared_units(space: SearchSpace, model: nn.Module) -> tuple[Unit, ...]:
    """Return the units of ``model``, none if ``space`` has networks of one depth only.

    Of an own network, whose space says nothing of depth, they are the branches that can be skipped.
    """
    if isinstance(space, OwnSpace):
        return space.traced_units()
    return units(model) if isinstance(space, ChoosesUnits) else ()


def units_a_stage(
    declared: tuple[Unit, ...], structures: Structures, mask: Tensor, *, fixed: bool
) -> dict[str, tuple[int, ...]]:
    """Return which of the ``declared`` units are in ``mask`` (total,), as positions in the stage.

    Units that are no structures, since they cannot be detached, are in if ``fixed`` says so.
    """
    inside = structures.split(mask)
    otherwise = torch.tensor([fixed])
    found: dict[str, list[int]] = {unit.stage: [] for unit in declared}
    places = dict.fromkeys(found, 0)
    for unit in declared:
        if inside.get(unit.name, otherwise):
            found[unit.stage].append(places[unit.stage])
        places[unit.stage] += 1
    return {stage: tuple(positions) for stage, positions in found.items()}


def architecture_of(space: SearchSpace, model: nn.Module) -> Architecture:
    """Return the architecture of a compact network of ``space``: its units and its widths."""
    architecture = space.largest()
    if isinstance(space, OwnSpace) and any(isinstance(m, PassedBy) for m in model.modules()):
        gone = [unit.name for unit in space.traced_units() if is_detached(model, unit)]
        architecture = space.without_units(architecture, gone)
    if isinstance(space, ChoosesUnits):
        architecture = space.with_units(architecture, count_units(units(model)))
    return space.with_widths(architecture, {g.name: g.size for g in channel_groups(model)})
