"""How does a file get written so that nothing finished is ever lost?"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError


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
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a run folder is meant to be shared as the umask allows.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise storage_error(path, error) from error


def append_line(path: Path, line: str) -> None:
    """Append one line with a single write and flush it to disk before returning.

    A line cut short by a crash or a full disk is closed off first, so that it cannot swallow the
    new one.

    Raises:
        GrowsearchError: if the disk is full, read-only or not ours; a partial line is taken back.
    """
    if "\n" in line:
        raise ValueError("a ledger line holds no line break")
    try:
        with path.open("ab") as file:
            end = file.seek(0, os.SEEK_END)
            prefix = b"" if end == 0 or _last_byte(path) == b"\n" else b"\n"
            content = prefix + line.encode() + b"\n"
            _append_whole(file.fileno(), content, end)
    except OSError as error:
        raise storage_error(path, error) from error


def _append_whole(descriptor: int, content: bytes, end: int) -> None:
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def storage_error(path: Path, error: OSError) -> GrowsearchError:
    """Turn an operating-system error into a message with a remedy."""
    remedy = "free some space and run the same command again: it resumes"
    if error.errno in (13, 1, 30):
        remedy = "make the folder writable or choose another with --out"
    return GrowsearchError(
        f"cannot write {path}: {error.strerror or error}. What was finished is kept; {remedy}."
    )
