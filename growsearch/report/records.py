"""Records of masks during training: means over layers, a column a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from growsearch.reading import parse_json, read_limited, reading

# In a line of each record, where the figures over all layers are: one mapping, or single keys.
_MAX_BYTES = 64 * 2**20
_PLACES: dict[str, tuple[str, ...]] = {"spectra": ("mean",), "gradient_flow": ("all", "mean")}


def read_records(folder: Path, names: list[str]) -> dict[str, dict[str, list[float | None]]]:
    """Return the columns of the records ``names`` in a trial's folder, "epoch" among them.

    A figure that no epoch defines has no column, a record that is not there no entry; a line that
    is cut short ends its record.

    Raises:
        UsageError: if a file is there and cannot be read.
    """
    found = {}
    for name in names:
        path = folder / f"{name}.jsonl"
        if name not in _PLACES or not path.is_file():
            continue
        with reading(path, "remove it to go without"):
            lines = read_limited(path, _MAX_BYTES).decode().split("\n")
            while lines and not lines[-1].strip():
                lines.pop()
        found[name] = _columns([_figures(line, _PLACES[name]) for line in lines])
    return {name: columns for name, columns in found.items() if columns}


def _figures(line: str, keys: tuple[str, ...]) -> dict[str, float] | None:
    """Return the epoch and the figures of a line, None if it is no whole one."""
    try:
        data: Any = parse_json(line)
        figures = {"epoch": float(data["epoch"])}
        for key in keys:
            value = data[key]
            figures |= value if isinstance(value, dict) else {key: value}
        return {k: float(v) for k, v in figures.items() if v is not None}
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _columns(rows: list[dict[str, float] | None]) -> dict[str, list[float | None]]:
    whole = []
    for row in rows:
        if row is None:
            break
        whole.append(row)
    names = dict.fromkeys(name for row in whole for name in row)
    return {name: [row.get(name) for row in whole] for name in names}
