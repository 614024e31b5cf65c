"""Growth options: who hears of a run, and where it is kept; nothing of its mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cost_models import MachineLock
from growsearch.growth.result import GrowthRecord
from growsearch.training import TrainingOptions


class GrowthListener(Protocol):
    """Follows a run from epoch to epoch."""

    def resumed(self, records: Sequence[GrowthRecord]) -> None:
        """Take in the epochs of a run that goes on from its checkpoint; at most once, and first."""
        ...

    def epoch(self, record: GrowthRecord) -> None:
        """Take in an epoch that has just ended; its checkpoint is on disk."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthOptions(TrainingOptions):
    """The loop's options, and who hears of every epoch's structure.

    ``lock`` is held while a latency budget's device is timed; ``guard`` may hold it shared. The
    device's profile is kept in ``latency_file``, or taken from there if it exists; without one it
    is kept beside a ``checkpoint``, in a file that ends in .latency.json.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.growth import GrowthOptions
        >>> GrowthOptions(checkpoint=Path("growth.safetensors")).listener is None
        True
    """

    listener: GrowthListener | None = None
    lock: MachineLock | None = None
    latency_file: Path | None = None
