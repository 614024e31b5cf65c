"""Trackers by name, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from growsearch.errors import UsageError
from growsearch.search.trackers.mlflow import MLflowTracker
from growsearch.search.trackers.tensorboard import TensorBoardTracker
from growsearch.search.trackers.tracker import Tracker
from growsearch.search.trackers.wandb import WandbTracker

# Each is made from the run's folder and the study's name.
TRACKERS: dict[str, Callable[[Path, str], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MLflowTracker,
    "wandb": WandbTracker,
}


def check_trackers(names: Iterable[str]) -> None:
    """Refuse a name that is not there, or stands twice.

    Raises:
        UsageError: with the valid names.
    """
    seen: set[str] = set()
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"trackers: unknown {name!r}; valid: {', '.join(TRACKERS)}")
        if name in seen:
            raise UsageError(f"trackers: {name} stands twice; remove one")
        seen.add(name)
