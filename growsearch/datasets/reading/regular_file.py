"""Regular files, opened within a bound: no pipe that blocks, no device, no endless file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from growsearch.datasets.reading.boundary import shown
from growsearch.errors import UsageError

MAX_BYTES = 2**30

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path, *, most_bytes: int = MAX_BYTES) -> BinaryIO:
    """Open a regular file of at most ``most_bytes`` for reading; a link to one is followed.

    Raises:
        UsageError: for anything else than a regular file, or a larger one.
        OSError: as `open`.
    """
    # Looked at first, for opening some devices does something; then again, for it may have changed.
    _check(path, path.stat(), most_bytes)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(path, os.fstat(descriptor), most_bytes)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, *, most_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most ``most_bytes``.

    Raises:
        UsageError: for anything else than a regular file, a larger one, or one that grows.
        OSError: as `open`.
    """
    with open_regular(path, most_bytes=most_bytes) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1)
    if len(content) > size:
        raise UsageError(f"{shown(path)}: it grows while it is read; wait until it is written")
    return content


def kind_of(mode: int) -> str:
    """Return in words what a file of this mode is, where it is no regular one."""
    return _KINDS.get(stat.S_IFMT(mode), "no regular file")


def _check(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(
            f"{shown(path)}: {kind_of(found.st_mode)}, where a regular file is due; remove it"
        )
    if found.st_size > most_bytes:
        raise UsageError(
            f"{shown(path)}: a file of {found.st_size:,} bytes; at most {most_bytes:,} are read. "
            "Make it smaller"
        )
