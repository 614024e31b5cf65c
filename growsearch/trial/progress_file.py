"""Progress file of a trial: how far it is, in its folder while it runs, for whoever looks on.

Nothing of the search depends on it: one that cannot be written is left out, and it leaves with the
trial's other attempts once the ledger has its line.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import AfterValidator

from cost_models.plain_data import Count, Number, from_plain, to_plain
from growsearch.errors import GrowsearchError
from growsearch.files import show_json
from growsearch.reading import check_text, read_json
from growsearch.trial.record import LEARNED, as_time
from growsearch.trial.trial_folder import is_trial_id, trial_folder

if TYPE_CHECKING:
    from growsearch.training import EpochRecord

PROGRESS = "progress.json"
Phase = Literal["preparing", "training", "measuring"]
# Between two writes, seconds: a look a second sees each, and a quick epoch costs none.
_BETWEEN_S = 1.0
_MAX_BYTES = 2**16
_MAX_VALUES = 32


def _phase(value: str) -> str:
    if value not in get_args(Phase):
        raise ValueError("is no phase of a trial")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProgress:
    """How far a trial is that runs.

    ``epoch`` epochs are behind it, ``epochs`` are all that it will tell of, where that is known;
    ``step`` of ``steps`` are done of the next one. ``values`` are of the last epoch.
    ``resumed_epoch`` epochs were behind it when this attempt began, at ``started_at``;
    ``written_at`` is when this was written: both in Unix time, seconds, by the clock of ``host``.
    """

    id: str
    phase: Annotated[str, AfterValidator(_phase)]
    epoch: Count = 0
    epochs: Count | None = None
    step: Count = 0
    steps: Count = 0
    resumed_epoch: Count = 0
    values: Mapping[str, Number] = field(default_factory=dict)
    started_at: Number = 0.0
    written_at: Number = 0.0
    process: Count = 0
    host: str = ""

    @property
    def share(self) -> float | None:
        """The share of its epochs that is behind it, in [0, 1]; None where nobody knows.

        Example:
            >>> from growsearch.trial.progress_file import TrialProgress
            >>> TrialProgress(id="a", phase="training", epoch=2, epochs=4, step=5, steps=10).share
            0.625
        """
        return self._share_at(self.epoch, self.step / self.steps if self.steps > 0 else 0.0)

    @property
    def resumed_share(self) -> float:
        """The share that was behind it when this attempt began."""
        return self._share_at(self.resumed_epoch, 0.0) or 0.0

    def _share_at(self, epoch: int, part: float) -> float | None:
        # Some kinds tell of more epochs than they name: then nobody knows.
        if not self.epochs or epoch > self.epochs:
            return None
        return min(1.0, max(0.0, (epoch + min(1.0, max(0.0, part))) / self.epochs))


class ProgressFile:
    """Keeps a trial's `TrialProgress` in its folder while it runs.

    Args:
        folder: the trial's, which is there.
        epochs: how many it will tell of; None where that is not known before.
        learned: whether epochs are judged by examples that are learned; their values say so.
    """

    def __init__(self, folder: Path, epochs: int | None, *, learned: bool = False) -> None:
        self._before = LEARNED if learned else ""
        self._path = folder / PROGRESS
        self._next = 0.0
        now = time.time()
        self._found = TrialProgress(
            id=folder.name,
            phase="preparing",
            epochs=epochs,
            started_at=now,
            process=os.getpid(),
            host=platform.node(),
        )
        self._write(at_once=True)

    def resumed(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs of an earlier attempt."""
        if not records:
            return
        self._change(
            phase="training",
            epoch=records[-1].epoch,
            resumed_epoch=records[-1].epoch,
            values=self._values(records[-1]),
        )

    def epoch(self, record: EpochRecord) -> None:
        """Note an epoch that has just ended."""
        self._change(phase="training", epoch=record.epoch, step=0, values=self._values(record))

    def _values(self, record: EpochRecord) -> dict[str, float]:
        return {f"{self._before}{name}": value for name, value in _values(record).items()}

    def step(self, done: int, steps: int) -> None:
        """Note a step of the epoch in progress."""
        if time.monotonic() >= self._next:
            self._change(phase="training", step=done, steps=steps)

    def measuring(self) -> None:
        """Note that it is trained and now being measured."""
        self._change(phase="measuring", step=0, steps=0)
        self._write(at_once=True)

    def _change(self, **changes: object) -> None:
        self._found = dataclasses.replace(self._found, **changes)  # type: ignore[arg-type]
        self._write()

    def _write(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now < self._next and not at_once:
            return
        self._next = now + _BETWEEN_S
        self._found = dataclasses.replace(self._found, written_at=round(time.time(), 3))
        show_json(self._path, to_plain(TrialProgress, self._found))


def read_progress(run: Path, name: str) -> TrialProgress | None:
    """Return how far trial ``name`` of the folder ``run`` is; None where nothing says so.

    A file that is damaged, of another trial or reached through a link says nothing.
    """
    if not is_trial_id(name):
        return None
    try:
        path = trial_folder(run, name) / PROGRESS
        if path.is_symlink():
            return None
        data = read_json(path, "it is written anew", most_bytes=_MAX_BYTES)
        found = from_plain(TrialProgress, data)
        for text in (found.host, *found.values):
            check_text(text)
    except (GrowsearchError, OSError, ValueError, TypeError):
        return None
    counts = (found.epoch, found.step, found.steps, found.resumed_epoch, found.epochs or 0)
    times = (as_time(found.started_at), as_time(found.written_at))
    sane = all(0 <= count < 2**53 for count in counts) and len(found.values) <= _MAX_VALUES
    sane = sane and None not in times
    return found if sane and found.id == name else None


def _values(record: EpochRecord) -> dict[str, float]:
    """Return by what an epoch is judged; what is no finite number is left out by JSON's writer."""
    own = {"accuracy": record.accuracy, "perplexity": record.perplexity, **record.metrics}
    return {name: value for name, value in list(own.items())[:_MAX_VALUES] if value is not None}
