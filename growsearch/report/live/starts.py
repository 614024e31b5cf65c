"""Started trials of a run, as whoever looks on reads them: without the torch that trains them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growsearch.reading import parse_json, read_limited, reading
from growsearch.trial.record import Trial, as_time
from growsearch.trial.trial_folder import is_trial_id

STARTS_FILE = "started.jsonl"
_MAX_BYTES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A trial that was started: its id, its place, its kind and what it is to train, as written.

    ``started_at`` is Unix time in seconds, None where the line does not say it.
    """

    id: str
    number: int
    config: Mapping[str, Any]
    started_at: float | None = None

    def as_trial(self) -> Trial:
        """Return it as a trial without a result, so that it is told of in the same words."""
        return Trial(
            id=self.id,
            number=self.number,
            kind=str(self.config.get("kind", "")),
            status="stopped",
            config=self.config,
            seed=0,
        )


def read_starts(run: Path) -> dict[str, Started]:
    """Return the started trials of a run by id; lines that are none are passed over.

    Raises:
        UsageError: if the file is there and cannot be read.
    """
    path = run / STARTS_FILE
    if not os.path.lexists(path):
        return {}
    with reading(path, "restore it, or remove it"):
        lines = read_limited(path, _MAX_BYTES).split(b"\n")
    found: dict[str, Started] = {}
    for line in lines:
        started = _started(line)
        if started is not None:
            found.setdefault(started.id, started)
    return found


def _started(line: bytes) -> Started | None:
    try:
        data = parse_json(line.strip(b"\0"))
        name, config, number = data["id"], data["candidate"], data["number"]
    except (ValueError, KeyError, TypeError):
        return None
    if not is_trial_id(name) or not isinstance(config, dict) or type(number) is not int:
        return None
    return Started(
        id=name, number=number, config=config, started_at=as_time(data.get("started_at"))
    )
