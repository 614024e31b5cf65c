"""Files written so that nothing finished is ever lost: atomic, or append-only."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in one atomic step: readers see the old file or the new one, never a part."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(data, indent=2, sort_keys=False, allow_nan=False) + "\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` through a temporary neighbour, flush it to disk, then rename.

    Raises:
        GrowsearchError: if the disk is full, read-only or not ours; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        # Also after an interrupt. Once renamed, it is no longer there.
        with contextlib.suppress(OSError):
            temporary.unlink()


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to disk before returning; one process at a time may write.

    A line cut short by a crash or a full disk is closed off first, so that it cannot swallow the
    new one.

    Raises:
        GrowsearchError: if the disk is full, read-only or not ours; a partial line is taken back.
        ValueError: for a line with a line break in it.
    """
    if "\n" in line:
        raise ValueError("a ledger line holds no line break")
    try:
        with path.open("ab") as file:
            end = file.seek(0, os.SEEK_END)
            prefix = b"" if end == 0 or _last_byte(path) == b"\n" else b"\n"
            content = prefix + line.encode() + b"\n"
            _append_whole(file.fileno(), content, end)
        if end == 0:
            _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def _append_whole(descriptor: int, content: bytes, end: int) -> None:
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    except OSError:
        # What went wrong first is what a person needs to hear of.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _sync_folder(folder: Path) -> None:
    """Flush the folder's list of names: without it a power cut can undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(path: Path, error: OSError) -> GrowsearchError:
    """Turn an operating-system error into a message with a remedy."""
    if error.errno in _FULL:
        remedy = "free some space and run the same command again: it resumes"
    elif error.errno in _FORBIDDEN:
        remedy = "make the folder writable or choose another with --out"
    else:
        remedy = "check the path and the disk, or choose another folder with --out"
    return GrowsearchError(
        f"cannot write {path}: {error.strerror or error}. What was finished is kept; {remedy}."
    )
