"""Structure log: one line of JSON an epoch with every structure, growth as a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from growsearch.growth.result import GrowthRecord

# The file of these lines, in a growing run's folder and in a growth trial's.
STRUCTURES = "structures"
_DIGITS = 4


def structure_line(record: GrowthRecord) -> dict[str, Any]:
    """Return what an epoch left of every channel and unit, as plain JSON data.

    "live" and "dormant" list positions in the full configuration, channels by group and units by
    stage under "units" and "dormant_units"; "temperature" (beta, 2007.15353 section 3.2) and
    "probability" (of being drawn next) list all structures to four digits. Empty maps are left
    out: policies without temperatures, spaces without a choice of units.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.growth import Budget, GrowthConfig, grow, structure_line
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
        >>> config = GrowthConfig(recipe=Recipe(epochs=2), policy="uniform")
        >>> result = grow(space, data, budget=Budget(macs=0.1), config=config)
        >>> list(structure_line(result.history[-1])["live"])
        ['hidden0', 'hidden1']
    """
    maps: dict[str, Mapping[str, Sequence[float]]] = {
        "live": record.live,
        "dormant": record.dormant,
        "units": record.units,
        "dormant_units": record.dormant_units,
        "temperature": record.temperature,
        "probability": record.probability,
    }
    line: dict[str, Any] = {
        "epoch": record.epoch,
        "created": record.created,
        "attached": record.attached,
        "detached": record.detached,
        "frozen": record.frozen,
    }
    for name, values in maps.items():
        if values:
            line[name] = {group: [_short(value) for value in of] for group, of in values.items()}
    return line


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")
