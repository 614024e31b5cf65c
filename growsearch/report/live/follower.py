"""Follower of a run: its status and its page as they are now, read again when its files change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError
from growsearch.reading import reading, reason
from growsearch.report.html_page import render_html
from growsearch.report.live.heartbeat import read_heartbeat
from growsearch.report.live.starts import StartsReader
from growsearch.report.live.status import is_run, status_of
from growsearch.report.run_data import LEDGER_FILE, REJECTED_FILE, STUDY_FILE, Run, read_run
from growsearch.shown_text import shown

# A page takes its time to be made, and a long ledger to be read: a page not more often than this,
# and both only after so many times as long as they took.
_BETWEEN_S, _SHARE = 2.0, 5.0
_STATUS_S = 0.5
_FILES = (STUDY_FILE, LEDGER_FILE, REJECTED_FILE)
Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    name: str
    content: bytes


class Follower:
    """Reads one run's folder for whoever watches it, and writes nothing.

    Several threads may ask at once; each file is read and each page made by one of them.

    Args:
        folder: the run's, which need not be there yet.
        clock: seconds that only grow.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._stamp: Stamp | None = None
        self._starts = StartsReader(folder)
        self._page: _Page | None = None
        self._page_of: Run | None = None
        # Why there is no page of the present trials.
        self._problem: str | None = None
        self._next_page = self._next_read = 0.0
        self._seen: tuple[float, dict[str, Any]] | None = None

    def state(self) -> dict[str, Any]:
        """Return the status for the page: ``status`` or a ``message``, and which ``page`` there is.

        What cannot be read is a message, and so is a folder that holds no run yet.
        """
        with self._lock:
            now = self._clock()
            if self._seen is None or now - self._seen[0] >= _STATUS_S:
                self._seen = (now, self._state())
            return self._seen[1]

    def page(self) -> bytes | None:
        """Return the report page of the run as it was last read; None where there is none yet."""
        with self._lock:
            if self._page is None:
                self._look()
            return None if self._page is None else self._page.content

    def _state(self) -> dict[str, Any]:
        status, message = None, None
        try:
            found = self._look()
            if found is None:
                message = {"state": "waiting", "text": self._waiting()}
            else:
                beat = read_heartbeat(self._folder)
                status = status_of(found, self._starts.read(), beat, time.time()).to_json()
                if self._problem is not None:
                    message = {"state": "unreadable", "text": self._problem}
        except (GrowsearchError, MemoryError) as error:
            message = {"state": "unreadable", "text": shown(reason(error))}
        page = None if self._page is None else self._page.name
        return {"status": status, "message": message, "page": page}

    def _waiting(self) -> str:
        return f"There is no run in {shown(str(self._folder))} yet; the page waits for it."

    def _look(self) -> Run | None:
        """Read the run again if its files have changed, and make its page if it is time."""
        if not is_run(self._folder):
            self._run = self._stamp = None
            return None
        stamp = _stamp_of(self._folder, _FILES)
        if self._run is None or (stamp != self._stamp and self._clock() >= self._next_read):
            started = self._clock()
            try:
                self._run, self._stamp = read_run(self._folder), stamp
            finally:
                self._next_read = self._clock() + _SHARE * (self._clock() - started)
        if self._page_of is not self._run and self._clock() >= self._next_page:
            self._make_page(self._run)
        return self._run

    def _make_page(self, run: Run) -> None:
        started = self._clock()
        name = f"{len(run.trials)}-{abs(hash(self._stamp)):x}"
        self._page_of = run
        try:
            with reading(self._folder, "the page is made anew with the run's next trial"):
                self._page = _Page(name, render_html(run).encode())
            self._problem = None
        except (GrowsearchError, MemoryError) as error:
            # Told until a page can be made: the old one is not of the trials that there are.
            self._problem = shown(reason(error))
        finally:
            took = self._clock() - started
            self._next_page = self._clock() + max(_BETWEEN_S, _SHARE * took)


def _stamp_of(folder: Path, names: tuple[str, ...]) -> Stamp:
    """Return what changes when the files do."""
    return tuple(map(_file_stamp, (folder / name for name in names)))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
