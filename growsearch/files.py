"""Writing of files so that nothing finished is lost, and nothing is written through a link."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from growsearch.errors import MachineError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


def write_text(path: Path, text: str, *, make_folder: bool = True) -> None:
    """Write ``text`` in one atomic step: readers see the old file or the new one, never a part."""
    write_bytes(path, text.encode(), make_folder=make_folder)


def write_json(path: Path, data: Any, *, make_folder: bool = True) -> None:
    """Write ``data`` as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(data, indent=2, sort_keys=False, allow_nan=False) + "\n"
    write_text(path, text, make_folder=make_folder)


def write_bytes(path: Path, content: bytes, *, make_folder: bool = True) -> None:
    """Write ``content`` through a temporary neighbour, flush it to disk, then rename.

    A link in the place of the file is replaced, not followed.

    Args:
        path: the file.
        content: all of it.
        make_folder: whether a folder that is not there is made; without, that is an error.

    Raises:
        MachineError: if the disk is full, read-only or not ours; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if make_folder:
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


def show_json(path: Path, data: Any) -> bool:
    """Write ``data`` for whoever looks on, atomically but not flushed; tell whether it was written.

    For what nothing depends on, such as how far a trial is: trouble of the disk is no trouble of
    the search, and a folder that is gone is not made anew. NaN and infinity are not written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(json.dumps(data, allow_nan=False, separators=(",", ":")))
        temporary.replace(path)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            temporary.unlink()
        return False
    return True


def make_folder(folder: Path) -> None:
    """Make a folder and those that it lies in.

    Raises:
        MachineError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to disk before returning; one process at a time may write.

    A line cut short by a crash or a full disk is closed off first, so that it cannot swallow the
    new one. NUL bytes at the end are taken away: a power cut leaves them where a file had grown and
    its content was not on disk yet.

    Raises:
        MachineError: if the disk is full, read-only or not ours (a partial line is taken back), or
            the file is a link or a pipe.
        ValueError: for a line with a line break in it.
    """
    if "\n" in line:
        raise ValueError("a ledger line holds no line break")
    refuse_link(path)
    try:
        with path.open("ab") as file:
            end = _written_end(path, file.seek(0, os.SEEK_END))
            if end < file.tell():
                os.ftruncate(file.fileno(), end)
            prefix = b"" if end == 0 or _byte_before(path, end) == b"\n" else b"\n"
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


_BLOCK = 4096


def _written_end(path: Path, end: int) -> int:
    """Return where a file of ``end`` bytes ends without the NUL bytes at its end."""
    while end:
        start = max(0, end - _BLOCK)
        with path.open("rb") as file:
            file.seek(start)
            kept = len(file.read(end - start).rstrip(b"\0"))
        if kept:
            return start + kept
        end = start
    return 0


def _byte_before(path: Path, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(end - 1)
        return file.read(1)


def refuse_link(path: Path) -> None:
    """Refuse to write to what leads elsewhere, a link, or to a pipe, which waits for a reader.

    Raises:
        MachineError: with the remedy.
    """
    try:
        found = path.lstat()
    except OSError:
        # Whoever opens it says what is wrong.
        return
    if stat.S_ISLNK(found.st_mode):
        raise MachineError(
            f"{path} is a link to {path.readlink()}, and nothing is written or deleted through "
            "links inside a run; remove the link"
        )
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise MachineError(
            f"{path} is a hard link: writing to it changes another file, too; put a copy in its "
            "place"
        )
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        raise MachineError(f"{path} is a pipe and no file; remove it")


def folder_inside(root: Path, *parts: str) -> Path:
    """Return the folder ``root/parts``, which need not be there yet; no part of it may be a link.

    ``root`` itself may: a person chose it.

    Raises:
        MachineError: naming the link and the remedy.
    """
    folder = root
    for part in parts:
        folder = folder / part
        if folder.is_symlink():
            refuse_link(folder)
    return folder


def _sync_folder(folder: Path) -> None:
    """Flush the folder's list of names: without it a power cut can undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(path: Path, error: OSError) -> MachineError:
    """Turn an operating-system error into a message with a remedy."""
    if error.errno in _FULL:
        remedy = "free some space and run the same command again: it resumes"
    elif error.errno in _FORBIDDEN:
        remedy = "make the folder writable or choose another with --out"
    elif error.errno in _TOO_MANY_FILES:
        remedy = "raise the limit (ulimit -n) and run the same command again: it resumes"
    else:
        remedy = "check the path and the disk, or choose another folder with --out"
    return MachineError(
        f"cannot write {path}: {error.strerror or error}. What was finished is kept; {remedy}."
    )
