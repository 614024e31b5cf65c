"""Boundary of a reader: what goes wrong inside comes out as one message, with file and remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from growsearch.errors import GrowsearchError, UsageError

# What a machine does to a file that may be right: nothing about the file has to change.
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
_LONGEST_REASON = 300


@contextmanager
def reading(place: Path | str, problem: str, remedy: str) -> Iterator[None]:
    """Turn every exception of the block into a message "place: problem: reason; remedy".

    Raises:
        UsageError: for whatever the block raises; its own errors pass as they are.
        GrowsearchError: where the machine is at fault: memory, open files or a failing disk.
    """
    try:
        yield
    except GrowsearchError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _MACHINE:
            raise GrowsearchError(
                f"{shown(place)}: could not be read here: {reason(error)}; the file may be right: "
                "free memory, open files or disk and run the same command again"
            ) from error
        raise UsageError(f"{shown(place)}: {problem}: {reason(error)}; {remedy}") from error


def reason(error: BaseException) -> str:
    """Return what an exception says, in one printable line of bounded length."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = shown(" ".join(said.split())) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} ..."


def shown(text: object) -> str:
    """Return ``text`` with everything escaped that a terminal would not print as it is."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )
