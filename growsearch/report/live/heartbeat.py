"""Heartbeat of a search: a small file that its process writes again and again, and at its end.

It says who searches, since when, what runs and, at last, why it ended. Who reads it on another node
of a cluster, where a lock may not be seen, knows by it whether anybody is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

from cost_models.plain_data import Count, Number, from_plain
from growsearch.errors import GrowsearchError
from growsearch.reading import check_text, read_json
from growsearch.trial.record import as_time
from growsearch.trial.trial_folder import is_trial_id

HEARTBEAT_FILE = "heartbeat.json"
# Seconds between two beats; without one for so long, nobody can be sure of the search.
BEAT_S, SILENT_S = 10.0, 90.0
End = Literal["complete", "time", "interrupted", "error"]
_MAX_BYTES = 2**20
# No search has as many trials.
_MOST = 2**53


def _end(value: str | None) -> str | None:
    if value is not None and value not in get_args(End):
        raise ValueError("is no end of a search")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsState:
    """How far the repeats of a front are, which follow a search's trials.

    ``done`` of ``wanted`` are there, whatever came of them; ``wanted`` is None until the front is
    known. ``running`` is the id of the one under way, empty without one.
    """

    done: Count = 0
    wanted: Count | None = None
    running: str = ""

    @property
    def open(self) -> bool:
        """Are there repeats to come?"""
        return self.wanted is None or self.done < self.wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a search last said of itself.

    ``started_at`` and ``written_at`` are Unix times in seconds by the clock of ``host``; ``boot``
    tells one start of that host from another. Of the ``wanted`` trials (None: as many as fit into
    ``time_budget_s``) ``resumed`` were there when this session began. ``running`` are the ids of
    the trials under way, of at most ``parallel`` at once. ``repeats`` of the front follow them,
    None where none are asked for. ``end`` is why the search ended, None while it goes on; ``words``
    say more of it.
    """

    process: Count
    host: str
    boot: str = ""
    started_at: Number
    written_at: Number
    wanted: Count | None = None
    parallel: Count = 1
    resumed: Count = 0
    time_budget_s: Number | None = None
    running: tuple[str, ...] = ()
    repeats: RepeatsState | None = None
    end: Annotated[str | None, AfterValidator(_end)] = None
    words: str = ""


def read_heartbeat(run: Path) -> Heartbeat | None:
    """Return what the search in ``run`` last said of itself; None where nothing can be read."""
    path = run / HEARTBEAT_FILE
    try:
        if path.is_symlink():
            return None
        data = read_json(path, "it is written anew by the next search", most_bytes=_MAX_BYTES)
        found = from_plain(Heartbeat, data)
        for text in (found.host, found.boot, found.words):
            check_text(text)
    except (GrowsearchError, OSError, ValueError, TypeError):
        return None
    times = (as_time(found.started_at), as_time(found.written_at))
    repeats = found.repeats or RepeatsState()
    wanted = (found.wanted or 0, repeats.wanted or 0)
    counts = (*wanted, found.parallel, found.resumed, repeats.done)
    named = (*found.running, *([repeats.running] if repeats.running else []))
    sound = None not in times and all(map(is_trial_id, named))
    sound = sound and all(0 <= count < _MOST for count in counts)
    return found if sound and (found.time_budget_s or 0) >= 0 else None


def boot_id() -> str:
    """Return what tells this start of this machine from all others; empty where it is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
