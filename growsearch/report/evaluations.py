"""Evaluations after a search: what evaluation.json says of a trial's network."""

from __future__ import annotations

import os
from pathlib import Path
from types import UnionType
from typing import Any

from growsearch.errors import UsageError
from growsearch.pareto import MEASURES
from growsearch.reading import read_json
from growsearch.trial.record import MAX_VALUE

EVALUATION_FILE = "evaluation.json"
# A table of confusion of more classes nobody reads, and its page would be large.
MAX_CLASSES = 100
_MAX_BYTES = 2**20
_KINDS: tuple[tuple[str, type | UnionType], ...] = (
    ("metrics", dict),
    ("data", str | None),
    ("split", str | None),
    ("examples", int | None),
)


def read_evaluation(folder: str | Path) -> dict[str, Any] | None:
    """Return a trial's evaluation, None if there is none.

    It has "data", "split", "examples", "conditions" and "metrics" (numbers by name), and of up to
    `MAX_CLASSES` classes "classes" (name, count, precision, recall) and "confusion" (counts by
    true and named class). "own" names the metrics of an own task.

    Raises:
        UsageError: if the file cannot be read.
    """
    # Most of a run's trials have none: an exception for each would take a report's time.
    if not os.path.exists(f"{folder}/{EVALUATION_FILE}"):  # noqa: PTH110
        return None
    path = Path(folder) / EVALUATION_FILE
    data: Any = read_json(path, "remove it to go without", most_bytes=_MAX_BYTES)
    whole = isinstance(data, dict) and all(isinstance(data.get(k), kind) for k, kind in _KINDS)
    if not whole or not _all_measures(data["metrics"], data.get("own")) or not _sound_classes(data):
        raise UsageError(f"{path} holds no evaluation; remove it to go without")
    return dict(data)


def _all_measures(metrics: Any, own: Any) -> bool:
    """Tell whether all are numbers of measures that there are, or that an own task is judged by."""
    listed = own if isinstance(own, list) else []
    names = [name for name in listed if isinstance(name, str) and name.isidentifier()]
    return all(
        (name in MEASURES or name in names)
        and type(value) in (int, float)
        and abs(value) <= MAX_VALUE
        for name, value in metrics.items()
    )


def _sound_classes(data: dict[str, Any]) -> bool:
    """Tell whether the classes' figures, if there are any, and the table are of one size."""
    classes, table = data.get("classes"), data.get("confusion")
    if classes is None and table is None:
        return True
    if not isinstance(classes, list) or not isinstance(table, list):
        return False
    size = len(classes)
    rows = [*table, table] if size == len(table) <= MAX_CLASSES else [None]
    return all(isinstance(row, list) and len(row) == size for row in rows) and (
        all(_is_class(entry) for entry in classes)
        and all(type(n) is int and 0 <= n <= MAX_VALUE for row in table for n in row)
    )


def _is_class(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    shares = (entry.get("precision"), entry.get("recall"))
    counted = type(entry.get("count")) is int and 0 <= entry["count"] <= MAX_VALUE
    return counted and all(
        share is None or (type(share) in (int, float) and 0 <= share <= 1) for share in shares
    )
