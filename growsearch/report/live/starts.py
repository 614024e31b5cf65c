"""Started trials of a run, as whoever looks on reads them: without the torch that trains them."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growsearch.reading import parse_json, reading
from growsearch.trial.record import Trial, as_time
from growsearch.trial.trial_folder import is_trial_id

STARTS_FILE = "started.jsonl"
# The last part of the file that is looked at: the starts of some 25,000 trials.
_MOST_BYTES = 16 * 2**20
_MOST_LINE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A trial that was started: its id, its place, its kind and what it is to train, as written.

    ``started_at`` is Unix time in seconds, None where the line does not say it.
    """

    id: str
    number: int
    config: Mapping[str, Any]
    started_at: float | None = None

    def as_trial(self) -> Trial:
        """Return it as a trial without a result, so that it is told of in the same words."""
        return Trial(
            id=self.id,
            number=self.number,
            kind=str(self.config.get("kind", "")),
            status="stopped",
            config=self.config,
            seed=0,
        )


def read_starts(run: Path) -> dict[str, Started]:
    """Return the started trials of a run by id; see `StartsReader`.

    Raises:
        UsageError: if the file is there and cannot be read.
    """
    return StartsReader(run).read()


class StartsReader:
    """Reads a run's starts again and again: of a file that has grown only what is new.

    What is no start is passed over, and so is a line that is still being written. Of a long file
    the last `_MOST_BYTES` count, so that one look, and what is kept of all, stay small.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / STARTS_FILE
        self._file: tuple[int, int] | None = None
        self._end = 0
        self._found: dict[str, Started] = {}
        # The ids in the order they came, with the bytes of their lines.
        self._kept: deque[tuple[str, int]] = deque()
        self._kept_bytes = 0

    def read(self) -> dict[str, Started]:
        """Return the started trials by id, as the file has them now.

        Raises:
            UsageError: if the file is there and cannot be read.
        """
        if not os.path.lexists(self._path):
            self._forget(None)
            return {}
        with reading(self._path, "restore it, or remove it"):
            for line in self._new_lines():
                self._take(line)
        return dict(self._found)

    def _new_lines(self) -> list[bytes]:
        """Return the whole lines behind those that were read before."""
        # Without O_NONBLOCK the opening of a pipe would wait for who writes to it.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        with os.fdopen(os.open(self._path, flags), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ValueError("it is no file but a folder, a pipe or a device")
            if self._file != (about.st_dev, about.st_ino) or about.st_size < self._end:
                self._forget((about.st_dev, about.st_ino))
            start = max(self._end, about.st_size - _MOST_BYTES)
            file.seek(start)
            content = file.read(min(_MOST_BYTES, about.st_size - start))
        whole = content.rfind(b"\n") + 1
        if not whole and len(content) == _MOST_BYTES:
            # No line is as long.
            whole = len(content)
        skipped = start > self._end
        self._end = start + whole
        lines = content[:whole].split(b"\n")
        # The first one began in what was passed over.
        return lines[1:] if skipped else lines

    def _take(self, line: bytes) -> None:
        started = _started(line)
        if started is None or started.id in self._found:
            return
        self._found[started.id] = started
        self._kept.append((started.id, len(line)))
        self._kept_bytes += len(line)
        while self._kept_bytes > _MOST_BYTES:
            name, size = self._kept.popleft()
            self._kept_bytes -= size
            del self._found[name]

    def _forget(self, file: tuple[int, int] | None) -> None:
        """Begin anew: the file is another one, or has lost lines."""
        self._file, self._end = file, 0
        self._found.clear()
        self._kept.clear()
        self._kept_bytes = 0


def _started(line: bytes) -> Started | None:
    if len(line) > _MOST_LINE:
        return None
    try:
        data = parse_json(line.strip(b"\0"))
        name, config, number = data["id"], data["candidate"], data["number"]
    except (ValueError, KeyError, TypeError):
        return None
    if not is_trial_id(name) or not isinstance(config, dict) or type(number) is not int:
        return None
    return Started(
        id=name, number=number, config=config, started_at=as_time(data.get("started_at"))
    )
