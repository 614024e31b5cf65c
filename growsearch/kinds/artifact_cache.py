"""Artifact cache of a run: what several trials need is made once, under a lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from growsearch.errors import GrowsearchError, MachineError
from growsearch.files import refuse_link, storage_error
from growsearch.training import read_checkpoint

Made = TypeVar("Made")

FOLDER = "shared"


def shared_file(run: Path, kind: str, key: Mapping[str, Any], suffix: str = ".safetensors") -> Path:
    """Return the file of a run that holds what ``key`` determines, "shared/KIND-HASH..."."""
    text = json.dumps(key, sort_keys=True, separators=(",", ":"))
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return run / FOLDER / f"{kind}-{name}{suffix}"


def cached(path: Path, make: Callable[[Path], None], read: Callable[[Path], Made]) -> Made:
    """Return the content of ``path``; who comes first makes it, and others wait.

    A file that cannot be read is made again. Whoever dies while making it leaves a checkpoint, from
    which the next one goes on.

    Args:
        path: the file; `make` writes it in one atomic step.
        make: called with the place of a checkpoint, which is removed once the file is there.
        read: raises GrowsearchError for a damaged file.

    Raises:
        GrowsearchError: if the folder cannot be written.
    """
    with _locked(path.with_suffix(".lock")):
        if path.exists():
            try:
                return read(path)
            except MachineError:
                raise
            except GrowsearchError:
                path.unlink()
        make(path.with_name(f"{path.stem}.part{path.suffix}"))
        # Drawing in rounds has a checkpoint a round.
        for file in path.parent.glob(f"{path.stem}.part*{path.suffix}"):
            with contextlib.suppress(OSError):
                file.unlink()
        return read(path)


def drop_damaged(checkpoint: Path) -> None:
    """Remove what shared work has left of itself where it is damaged: it begins anew."""
    for file in checkpoint.parent.glob(f"{checkpoint.stem}*{checkpoint.suffix}"):
        try:
            read_checkpoint(file)
        except MachineError:
            raise
        except GrowsearchError:
            file.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock of ``path``; it goes with the process."""
    refuse_link(path.parent)
    refuse_link(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise storage_error(path, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
