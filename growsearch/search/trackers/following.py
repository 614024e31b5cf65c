"""Following: trackers hear of every ledger line, and can never stop a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from growsearch.report.run_data import Run, read_history
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.trackers.registry import TRACKERS, check_trackers
from growsearch.search.trackers.tracker import Tracked, Tracker
from growsearch.trial.record import Trial


@contextmanager
def followed(recorder: Recorder, names: Sequence[str], study: str) -> Iterator[None]:
    """Write every trial of the ledger to the named trackers, also what an earlier session missed.

    A tracker is told once a trial's line is on disk, in the search's own process: with Ray as
    without. One that fails is left out from then on, and the run's incidents say so.

    Raises:
        UsageError: for an unknown tracker, or one whose package or address is missing.
        GrowsearchError: if a tracker's server does not answer at the start.
    """
    check_trackers(names)
    folder = recorder.folder.path
    following = [_Following(name, TRACKERS[name](folder, study), study) for name in names]

    def listen() -> None:
        for each in following:
            each.catch_up(recorder)

    if following:
        recorder.listeners.append(listen)
        listen()
    try:
        yield
    finally:
        if following:
            listen()
            recorder.listeners.remove(listen)


class _Following:
    """One tracker, and which trials it knows."""

    def __init__(self, name: str, tracker: Tracker, study: str) -> None:
        self._name, self._tracker, self._study = name, tracker, study
        self._told: set[str] = set()
        self._broken = False

    def catch_up(self, recorder: Recorder) -> None:
        """Tell the tracker of all trials that it has not heard of."""
        for name, trial in list(recorder.trials.items()):
            if self._broken:
                return
            if name in self._told:
                continue
            self._told.add(name)
            try:
                if not self._tracker.has(name):
                    history = _history(recorder.folder.path, trial)
                    tracked = Tracked(study=self._study, trial=trial, history=history)
                    self._tracker.log(tracked)
            except Exception as error:  # other people's servers and packages
                self._broken = True
                recorder.incidents.append(
                    f"tracker {self._name} failed at trial {name} and was left out: "
                    f"{type(error).__name__}: {' '.join(str(error).split())[:300]}; the same "
                    "command writes what is missing"
                )


def _history(folder: Path, trial: Trial) -> dict[str, list[float]]:
    # Only the folder of a run that is being read counts here.
    return read_history(Run(folder=folder, study={}, trials=()), trial)
