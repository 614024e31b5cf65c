"""Signs of life of a search: is its process there? By its lock and its heartbeat, not by age.

The lock of a run's folder is held by the process that searches, and goes with it. It proves life
wherever it is seen to be held. Free, it proves death on the process's own host alone: not every
shared file system shows one node's locks to another. There the heartbeat decides, and where that is
silent nobody knows.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from growsearch.reading import read_limited
from growsearch.report.live.heartbeat import SILENT_S, Heartbeat, boot_id
from growsearch.shown_text import shown
from growsearch.trial.record import as_time

LOCK_FILE = "run.lock"
_MAX_LOCK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignsOfLife:
    """Whether a search is at work: True, False, or None where nobody can be sure, and ``how``.

    ``last_at`` is its last sign of life in Unix time, None where there was none.
    """

    alive: bool | None
    how: str
    last_at: float | None = None


def signs_of_life(run: Path, heartbeat: Heartbeat | None, now: float | None = None) -> SignsOfLife:
    """Tell whether a search is at work in the folder ``run``; nothing is written to it.

    Args:
        run: the run's folder.
        heartbeat: what the search last said of itself.
        now: Unix time, by default this machine's.
    """
    now = time.time() if now is None else now
    held = _is_held(run / LOCK_FILE)
    if held:
        return SignsOfLife(alive=True, how="its process holds the run's lock", last_at=now)
    if heartbeat is None:
        return _by_the_lock_alone(run / LOCK_FILE, held)
    last_at = as_time(heartbeat.written_at)
    if heartbeat.end is not None:
        return SignsOfLife(alive=False, how="it said that it ended", last_at=last_at)
    if held is False and _was_here(heartbeat):
        how = f"process {heartbeat.process} of this machine is gone, and said nothing of an end"
        return SignsOfLife(alive=False, how=how, last_at=last_at)
    if last_at is not None and abs(now - last_at) <= SILENT_S:
        how = f"its heartbeat on {heartbeat.host} is {max(0.0, now - last_at):.0f} s old"
        return SignsOfLife(alive=True, how=how, last_at=last_at)
    clocks = " (its clock is ahead of this machine's)" if (last_at or 0) > now else ""
    how = f"no sign of life of process {heartbeat.process} on {heartbeat.host}{clocks}"
    return SignsOfLife(alive=None, how=how, last_at=last_at)


def _by_the_lock_alone(lock: Path, held: bool | None) -> SignsOfLife:
    """Judge the lock of a version without a heartbeat by the host that it names."""
    if held is None:
        return SignsOfLife(alive=None, how="no sign of life, and its lock cannot be asked for")
    try:
        text = "" if lock.is_symlink() else read_limited(lock, _MAX_LOCK).decode(errors="replace")
    except (OSError, ValueError):
        text = ""
    host = text.partition(" on ")[2].strip()
    if not host or host == platform.node():
        return SignsOfLife(alive=False, how="no process holds the run's lock")
    return SignsOfLife(alive=None, how=f"no sign of life of the {shown(text)}")


def _was_here(heartbeat: Heartbeat) -> bool:
    """Tell whether the search ran under this very kernel, which knows its processes' locks."""
    here = boot_id()
    if here and heartbeat.boot:
        return here == heartbeat.boot
    return heartbeat.host == platform.node()


def _is_held(lock: Path) -> bool | None:
    """Tell whether a process holds the lock, by asking for it for a moment; None if nobody says."""
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(lock, flags)
    except OSError as error:
        # A search goes through no link, and makes the file before it does anything.
        return False if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) else None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # A file system without locks.
        return None
    finally:
        os.close(descriptor)
    return False
