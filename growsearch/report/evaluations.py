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
_MAX_BYTES = 2**20
_KINDS: tuple[tuple[str, type | UnionType], ...] = (
    ("metrics", dict),
    ("data", str | None),
    ("split", str | None),
    ("examples", int | None),
)


def read_evaluation(folder: str | Path) -> dict[str, Any] | None:
    """Return a trial's evaluation, None if there is none.

    It has "data", "split", "examples", "conditions" and "metrics" (numbers by name).

    Raises:
        UsageError: if the file cannot be read.
    """
    # Most of a run's trials have none: an exception for each would take a report's time.
    if not os.path.exists(f"{folder}/{EVALUATION_FILE}"):  # noqa: PTH110
        return None
    path = Path(folder) / EVALUATION_FILE
    data: Any = read_json(path, "remove it to go without", most_bytes=_MAX_BYTES)
    whole = isinstance(data, dict) and all(isinstance(data.get(k), kind) for k, kind in _KINDS)
    if not whole or not _all_measures(data["metrics"]):
        raise UsageError(f"{path} holds no evaluation; remove it to go without")
    return dict(data)


def _all_measures(metrics: Any) -> bool:
    return all(
        name in MEASURES and type(value) in (int, float) and abs(value) <= MAX_VALUE
        for name, value in metrics.items()
    )
