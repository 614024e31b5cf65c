"""Pulse of a search: its heartbeat, written by a thread while it goes on and once at its end."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from cost_models.plain_data import to_plain
from growsearch.errors import GrowsearchError
from growsearch.files import show_json
from growsearch.report.live.heartbeat import BEAT_S, HEARTBEAT_FILE, Heartbeat, boot_id
from growsearch.search.ledger.recorder import Recorder
from growsearch.shown_text import shown

# Seconds between two beats when trials start and end: ten thousand simulated ones cost nothing.
_LEAST_S = 1.0
_MAX_WORDS = 500


@contextmanager
def pulse(
    recorder: Recorder,
    *,
    wanted: int | None,
    parallel: int,
    time_budget_s: float | None,
    time_was_up: Callable[[], str | None],
    elapsed_s: float = 0.0,
) -> Iterator[None]:
    """Keep the run's heartbeat while the search is in the block, and say at the end why it ended.

    A heartbeat that cannot be written is no trouble of the search.

    Args:
        recorder: the run's; what it calls running is told.
        wanted: how many trials the ledger is to have, None for as many as fit.
        parallel: how many run at a time.
        time_budget_s: how long the session may take, in seconds.
        time_was_up: says why time ended the search, if it did.
        elapsed_s: how long the session has run already, as its time budget counts it.
    """
    now = round(time.time(), 3)
    beat = Heartbeat(
        process=os.getpid(),
        host=platform.node(),
        boot=boot_id(),
        started_at=round(now - elapsed_s, 3),
        written_at=now,
        wanted=wanted,
        parallel=parallel,
        resumed=recorder.resumed,
        time_budget_s=time_budget_s,
    )
    heart = _Heart(recorder, beat)
    recorder.listeners.append(heart.news.set)
    thread = threading.Thread(target=heart.beat_on, name="growsearch-heartbeat", daemon=True)
    thread.start()
    end, words = "error", ""
    try:
        yield
        reason = time_was_up()
        end, words = ("complete", "") if reason is None else ("time", reason)
    except KeyboardInterrupt:
        end = "interrupted"
        raise
    except BaseException as error:
        words = shown(" ".join(str(error).split()))[:_MAX_WORDS] or type(error).__name__
        raise
    finally:
        recorder.listeners.remove(heart.news.set)
        heart.over.set()
        heart.news.set()
        thread.join()
        heart.write(end=end, words=words)


class _Heart:
    """What the thread shares with the search."""

    def __init__(self, recorder: Recorder, beat: Heartbeat) -> None:
        self._recorder, self._beat = recorder, beat
        self.news, self.over = threading.Event(), threading.Event()

    def beat_on(self) -> None:
        """Write a beat now and then until it is over: sooner where trials start or end."""
        while not self.over.is_set():
            self.news.clear()
            self.write()
            self.over.wait(_LEAST_S)
            self.news.wait(BEAT_S - _LEAST_S)

    def write(self, *, end: str | None = None, words: str = "") -> None:
        """Write one beat into the run's folder, if it still is the run's."""
        try:
            self._recorder.check_there()
        except GrowsearchError:
            return
        running = tuple(sorted(self._recorder.running)) if end is None else ()
        now = round(time.time(), 3)
        repeats = self._recorder.repeats
        if repeats is not None and end is not None:
            repeats = replace(repeats, running="")
        beat = replace(
            self._beat, written_at=now, running=running, repeats=repeats, end=end, words=words
        )
        show_json(self._recorder.folder.path / HEARTBEAT_FILE, to_plain(Heartbeat, beat))
