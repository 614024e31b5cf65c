"""Tracker: what it is told, and what it must do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from growsearch.trial.record import Trial

_EPOCH = "epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A trial of a study, and its columns of one value an epoch; empty where it has none."""

    study: str
    trial: Trial
    history: Mapping[str, list[float]]

    def params(self) -> dict[str, str]:
        """Return the settings that made the trial, as text by dotted name."""
        return {name: value[:500] for name, value in _flat(self.trial.config)} | {
            "seed": str(self.trial.seed)
        }

    def metrics(self) -> dict[str, float]:
        """Return the final figures, by names that every tracker takes."""
        return {plain_name(name): value for name, value in self.trial.metrics.items()}

    def epochs(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield (epoch, its figures), in order."""
        for row, epoch in enumerate(self.history.get(_EPOCH, ())):
            yield (
                int(epoch),
                {
                    f"epoch/{plain_name(name)}": column[row]
                    for name, column in self.history.items()
                    if name != _EPOCH
                },
            )


class Tracker(Protocol):
    """Writes trials to one place; what fails is raised, and the search goes on without it."""

    def has(self, trial_id: str) -> bool:
        """Tell whether a trial was written already, in this session or before."""
        ...

    def log(self, tracked: Tracked) -> None:
        """Write one trial."""
        ...


def plain_name(name: str) -> str:
    """Return a metric's name without brackets: "latency[cpu]" is "latency.cpu"."""
    return re.sub(r"[^A-Za-z0-9_./ -]+", ".", name).strip(".")


def _flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value if isinstance(value, str) else json.dumps(value)
