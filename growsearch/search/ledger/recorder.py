"""Recorder of a run: the ledger's owner, which writes before anything counts."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from growsearch.errors import MachineError
from growsearch.fault_origin import run_is_gone
from growsearch.files import append_line
from growsearch.kinds import CandidateConfig, trial_id
from growsearch.report.live.heartbeat import RepeatsState
from growsearch.search.ledger.run_folder import RunFolder, Start
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial
from growsearch.trial.retries import forget_attempts, kept_outcome
from growsearch.trial.trial_folder import TRIALS


class Recorder:
    """The finished and started trials of one run, on disk first and then in memory.

    Args:
        folder: an opened run folder that this process holds the lock of.
        seed: the study's seed; with a candidate it fixes the trial's id.
        retry_failed: forget failed trials, so that they run again.

    Raises:
        UsageError: for a ledger or starts that cannot be read.
        MachineError: if the ledger is gone and the trials that it had are still there.
    """

    def __init__(self, folder: RunFolder, seed: int, *, retry_failed: bool = False) -> None:
        self.folder = folder
        self._seed = seed
        self._identity = folder.identity()
        ledger = read_ledger(folder.ledger)
        self._size = _size(folder.ledger)
        self.notes = (*ledger.notes, *_lost_lines(folder, ledger.by_id()))
        self.trials = {
            trial.id: trial
            for trial in ledger.trials
            if not (retry_failed and trial.status == "failed")
        }
        self.starts = folder.read_starts()
        self.running: set[str] = set()
        self.incidents: list[str] = []
        self.repeats: RepeatsState | None = None
        self.listeners: list[Callable[[], None]] = []
        if not retry_failed:
            self._adopt()
        self.resumed = len(self.trials)

    def _adopt(self) -> None:
        """Enter what finished after the earlier driver had died."""
        for start in self.unfinished():
            trial = kept_outcome(self.folder.trial(start.id))
            if trial is not None:
                self.finish(trial)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the listeners out: Tune pickles a copy that nobody listens to."""
        return self.__dict__ | {"listeners": []}

    def known(self, candidate: CandidateConfig) -> Trial | None:
        """Return the ledger's entry of a candidate, if it has run already."""
        return self.trials.get(trial_id(candidate, self._seed))

    def unfinished(self) -> list[Start]:
        """Return what was started and is in no ledger line, in order."""
        open_starts = [s for s in self.starts.values() if s.id not in self.trials]
        return sorted(open_starts, key=lambda start: start.number)

    def begin(self, candidate: CandidateConfig, params: Mapping[str, Any]) -> Start:
        """Write down that a trial starts; one that was started before keeps its number."""
        start = Start(
            id=trial_id(candidate, self._seed),
            number=len(self.starts),
            candidate=candidate,
            params=params,
            started_at=round(time.time(), 3),
        )
        return self.begin_as(start)

    def begin_as(self, wanted: Start) -> Start:
        """Write down a start as it is; one that was written before stays as it was."""
        self.check_there()
        start = self.starts.get(wanted.id)
        if start is None:
            self.folder.check_space()
            start = wanted
            self.folder.record_start(start)
            self.starts[start.id] = start
        self.running.add(start.id)
        self._tell_listeners()
        return start

    def note_repeats(self, found: RepeatsState) -> None:
        """Note how far the repeats of the front are, for whoever listens."""
        self.repeats = found
        self._tell_listeners()

    def finish(self, trial: Trial) -> Trial:
        """Write a trial's ledger line; a trial that is there already stays as it was.

        Raises:
            MachineError: if the ledger cannot be written, or the run's folder is gone.
        """
        self.running.discard(trial.id)
        place = self.folder.trial(trial.id)
        if trial.id not in self.trials:
            start = self.starts.get(trial.id)
            if start is not None:
                trial = dataclasses.replace(trial, number=start.number)
            if trial.ended_at is None:
                # Who ended it from outside did not look at the clock.
                trial = dataclasses.replace(trial, ended_at=round(time.time(), 3))
            self._append(trial)
            self.trials[trial.id] = trial
        forget_attempts(place)
        self._tell_listeners()
        return self.trials[trial.id]

    def check(self, trial: Trial) -> None:
        """Write a trial again whose estimates were measured; the later line counts."""
        self._append(trial)
        self.trials[trial.id] = trial

    def check_there(self) -> None:
        """Refuse to go on in a folder that was taken away or put in the place of the run's.

        Raises:
            MachineError: with the remedy.
        """
        if self.folder.identity() != self._identity:
            raise run_is_gone(self.folder.path)
        if _size(self.folder.ledger) < self._size:
            raise MachineError(
                f"{self.folder.ledger} has lost lines while the search ran, which has stopped; "
                "restore it, and run the same command again"
            )

    def _append(self, trial: Trial) -> None:
        self.check_there()
        append_line(self.folder.ledger, trial.to_line())
        self._size = _size(self.folder.ledger)

    def abandon(self, name: str) -> None:
        """Note that a running trial has stopped without a result; it stays unfinished."""
        self.running.discard(name)
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self.listeners:
            listener()


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lost_lines(folder: RunFolder, known: Mapping[str, Trial]) -> tuple[str, ...]:
    """Say which trials have their files and no ledger line, and so are trained again.

    Raises:
        MachineError: if no trial has a line: the ledger itself was lost.
    """
    lost = folder.complete_trials(without=known)
    some = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
    if lost and not known:
        raise MachineError(
            f"{folder.ledger} has no line, but {len(lost)} finished trials have their files in "
            f"{folder.path / TRIALS} ({some}): the ledger was lost, and all would be trained "
            "again. Restore it from a backup or the mirror; to train them again, remove "
            f"{TRIALS}/ or use --fresh"
        )
    if not lost:
        return ()
    return (
        f"{folder.ledger}: {len(lost)} finished trials have no line ({some}); where the search "
        "comes to them, they are trained again",
    )
