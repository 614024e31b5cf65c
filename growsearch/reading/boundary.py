"""Boundary of a reader: any exception of parsing becomes one message with file and remedy."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from growsearch.errors import GrowsearchError, MachineError, UsageError
from growsearch.shown_text import shown

# Nothing about the file has to change.
_MACHINE = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
    }
)
_MEBIBYTE = 2**20
_LONGEST = 300
_PIECE = 2**20


@contextmanager
def reading(
    what: Path | str, remedy: str, error: type[GrowsearchError] = UsageError
) -> Iterator[None]:
    """Turn whatever parsing raises into ``error``; a message of ours passes as it is.

    What a machine does to a file that may be right is a `MachineError`.

    Args:
        what: the file or folder, or what else is read; begins the message.
        remedy: what a person can do; ends the message.
        error: the class that is raised.

    Raises:
        GrowsearchError: ``error``, for any exception that is no message yet.
    """
    try:
        yield
    except GrowsearchError:
        raise
    except Exception as problem:
        if isinstance(problem, MemoryError) or getattr(problem, "errno", None) in _MACHINE:
            raise MachineError(
                f"{shown(str(what))} could not be read here ({reason(problem)}); it may be right: "
                "free memory, open files or disk and run the same command again"
            ) from problem
        raise error(f"{shown(str(what))} cannot be read ({reason(problem)}); {remedy}") from problem


def reason(problem: BaseException) -> str:
    """Return in one short line what an exception says, safe to show."""
    if isinstance(problem, RecursionError):
        return "it is nested too deeply"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    text = shown(" ".join(str(problem).split())) or type(problem).__name__
    if isinstance(problem, KeyError):
        text = f"{text} is missing"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def read_limited(path: Path, most_bytes: int, *, stream: bool = False) -> bytes:
    """Return a file's content.

    Args:
        path: where it is.
        most_bytes: no more is read.
        stream: whether it may be a pipe, such as a shell's ``<(...)``, which is waited for.

    Raises:
        OSError: if it cannot be opened.
        ValueError: if it is larger, or no file with content: a folder, a pipe, a device.
    """
    # Without O_NONBLOCK the opening of a pipe that nobody writes to would never come back.
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if stream else os.O_NONBLOCK)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stream and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file but a folder, a pipe or a device")
        content = b"".join(_pieces(file, most_bytes + 1))
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes / _MEBIBYTE:g} MiB, the most for its kind")
    return content


def _pieces(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield at most so many bytes; asking for all at once would take their memory beforehand."""
    while most > 0 and (piece := file.read(min(_PIECE, most))):
        most -= len(piece)
        yield piece
