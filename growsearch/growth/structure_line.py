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
