"""Recorder of a run: the ledger's owner, which writes before anything counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from growsearch.files import append_line
from growsearch.kinds import CandidateConfig, trial_id
from growsearch.search.ledger.run_folder import RunFolder, Start
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial
from growsearch.trial.retries import forget_attempts, kept_outcome


class Recorder:
    """The finished and started trials of one run, on disk first and then in memory.

    Args:
        folder: an opened run folder that this process holds the lock of.
        seed: the study's seed; with a candidate it fixes the trial's id.
        retry_failed: forget failed trials, so that they run again.
    """

    def __init__(self, folder: RunFolder, seed: int, *, retry_failed: bool = False) -> None:
        self.folder = folder
        self._seed = seed
        ledger = read_ledger(folder.ledger)
        self.notes = ledger.notes
        self.trials = {
            trial.id: trial
            for trial in ledger.trials
            if not (retry_failed and trial.status == "failed")
        }
        self.starts = folder.read_starts()
        self.running: set[str] = set()
        self.incidents: list[str] = []
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
        name = trial_id(candidate, self._seed)
        start = self.starts.get(name)
        if start is None:
            self.folder.check_space()
            start = Start(id=name, number=len(self.starts), candidate=candidate, params=params)
            self.folder.record_start(start)
            self.starts[name] = start
        self.running.add(name)
        self._tell_listeners()
        return start

    def finish(self, trial: Trial) -> Trial:
        """Write a trial's ledger line; a trial that is there already stays as it was."""
        self.running.discard(trial.id)
        if trial.id not in self.trials:
            start = self.starts.get(trial.id)
            if start is not None:
                trial = dataclasses.replace(trial, number=start.number)
            append_line(self.folder.ledger, trial.to_line())
            self.trials[trial.id] = trial
        forget_attempts(self.folder.trial(trial.id))
        self._tell_listeners()
        return self.trials[trial.id]

    def check(self, trial: Trial) -> None:
        """Write a trial again whose estimates were measured; the later line counts."""
        append_line(self.folder.ledger, trial.to_line())
        self.trials[trial.id] = trial

    def abandon(self, name: str) -> None:
        """Note that a running trial has stopped without a result; it stays unfinished."""
        self.running.discard(name)
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self.listeners:
            listener()
