"""Evaluations after a search: what evaluation.json says of a trial's network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from growsearch.errors import UsageError
from growsearch.pareto import MEASURES

EVALUATION_FILE = "evaluation.json"


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
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); remove it to go without") from error
    if not isinstance(data, dict) or not _all_measures(data.get("metrics")):
        raise UsageError(f"{path} holds no evaluation; remove it to go without")
    return data


def _all_measures(metrics: Any) -> bool:
    return isinstance(metrics, dict) and all(
        name in MEASURES and isinstance(value, int | float) for name, value in metrics.items()
    )
