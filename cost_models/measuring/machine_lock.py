"""Machine lock: how does one process measure alone on a machine where others train?

A readers-writer lock for the whole host, made of two files locked with flock(2). Training passes
the turnstile and enters the room, shared, at every step; a measurer holds the turnstile, so that
no new step begins, and then waits for the room to empty. The kernel drops the locks of a process
that dies, so nothing is ever left behind.
"""

import fcntl
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cost_models.errors import CostModelError


class MachineLock:
    """A lock shared by all instances, threads and processes that name the same folder.

    The folder must be on a local disk of the host: one folder a host. Shared sections may be
    nested in a thread; measuring inside one, or the other way round, raises `CostModelError`, as
    it would wait for itself.

    Example:
        >>> from pathlib import Path
        >>> from cost_models import MachineLock
        >>> lock = MachineLock(Path("."))
        >>> with lock.shared():
        ...     training = "beside others"
        >>> with lock.exclusive():
        ...     measuring = "alone"
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._threads = threading.local()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold this around a training step: waits while somebody measures or wants to."""
        files = self._files()
        if files.measuring:
            raise CostModelError(f"{self._folder}: a training step inside a measurement; end it")
        if not files.depth:
            files.enter()
        files.depth += 1
        try:
            yield
        finally:
            files.depth -= 1
            if not files.depth:
                files.leave()

    step = shared

    @contextmanager
    def released(self) -> Iterator[None]:
        """Leave this thread's shared section for a while, so that the thread itself may measure."""
        files = self._files()
        depth = files.depth
        if depth:
            files.depth = 0
            files.leave()
        try:
            yield
        finally:
            if depth:
                files.enter()
                files.depth = depth

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold this around a measurement: waits for running steps, and no new one begins."""
        files = self._files()
        if files.depth or files.measuring:
            raise CostModelError(
                f"{self._folder}: measuring inside a shared or exclusive section would wait for "
                "itself; leave it first"
            )
        files.close_room()
        files.measuring = True
        try:
            yield
        finally:
            files.measuring = False
            files.leave()

    def _files(self) -> "_Files":
        files: _Files | None = getattr(self._threads, "files", None)
        if files is None or not files.open:
            files = self._threads.files = _Files(self._folder)
        return files


class _Files:
    """One thread's own descriptors: flock belongs to the descriptor, so threads must not share."""

    def __init__(self, folder: Path) -> None:
        # The folder is one where others may write, too: through no link of theirs.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self.turnstile = os.open(folder / "turnstile.lock", flags, 0o666)
        self.room = os.open(folder / "room.lock", flags, 0o666)
        self.open = True
        self.depth = 0
        self.measuring = False
        _ALL.add(self)

    def enter(self) -> None:
        fcntl.flock(self.turnstile, fcntl.LOCK_SH)
        try:
            fcntl.flock(self.room, fcntl.LOCK_SH)
        finally:
            fcntl.flock(self.turnstile, fcntl.LOCK_UN)

    def close_room(self) -> None:
        fcntl.flock(self.turnstile, fcntl.LOCK_EX)
        try:
            fcntl.flock(self.room, fcntl.LOCK_EX)
        except BaseException:  # an interrupt while waiting must not shut the turnstile for good
            fcntl.flock(self.turnstile, fcntl.LOCK_UN)
            raise

    def leave(self) -> None:
        if self.open:
            fcntl.flock(self.room, fcntl.LOCK_UN)
            fcntl.flock(self.turnstile, fcntl.LOCK_UN)

    def close(self) -> None:
        if self.open:
            self.open = False
            for descriptor in (self.room, self.turnstile):
                with suppress(OSError):
                    os.close(descriptor)

    def __del__(self) -> None:
        self.close()


_ALL: "weakref.WeakSet[_Files]" = weakref.WeakSet()


def _forget_inherited() -> None:
    # A forked child shares its parent's locks through the descriptors: unlocking there would
    # release the parent's, and a surviving child would keep a dead parent's alive.
    for files in list(_ALL):
        files.close()


os.register_at_fork(after_in_child=_forget_inherited)
