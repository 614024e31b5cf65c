"""Kept layers of a grown network: which kept their full width, why, and what they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growsearch.reading import parse_json, read_limited, reading
from growsearch.shown_text import shown

_FILE, _MAX_BYTES = "kept.jsonl", 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLayer:
    """A layer that could not grow; ``parameters`` and ``macs`` are shares of the full network."""

    name: str
    reason: str
    parameters: float
    macs: float


def read_kept_layers(folder: Path) -> tuple[KeptLayer, ...]:
    """Return what a trial's folder says of layers that could not grow, in the file's order.

    A line that is none ends the list; of a network that grew as a whole there is no file.

    Raises:
        UsageError: if the file is there and cannot be read.
    """
    path = folder / _FILE
    if not path.is_file():
        return ()
    with reading(path, "remove it to go without"):
        lines = read_limited(path, _MAX_BYTES).decode().split("\n")
    found = []
    for line in lines:
        kept = _read(line)
        if kept is None:
            break
        found.append(kept)
    return tuple(found)


def _read(line: str) -> KeptLayer | None:
    try:
        data: Any = parse_json(line)
        parameters, macs = float(data["parameters"]), float(data["macs"])
        name, reason = shown(str(data["name"])), shown(str(data["reason"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    if not (math.isfinite(parameters) and math.isfinite(macs)):
        return None
    return KeptLayer(name=name, reason=reason, parameters=parameters, macs=macs)
