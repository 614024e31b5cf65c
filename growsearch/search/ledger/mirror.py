"""Mirror of a run: a copy on another file system, an object store too, kept up to date.

A run itself lives in a folder: its ledger is appended to and flushed, which an object store cannot
do. A machine that may vanish loses its folder, though. What is copied is written whole: files of
trials first, then the ledger that names them, so that a copy never names what it lacks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from growsearch.datasets.preprocessing import PREPROCESSING_FILE
from growsearch.errors import UsageError
from growsearch.files import folder_inside, write_bytes
from growsearch.reading import parse_yaml
from growsearch.report.run_data import EDITS_FILE, REJECTED_FILE
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RENEWABLE, RunFolder
from growsearch.trial.repeats import REPEATS
from growsearch.trial.trial_folder import TRIALS, is_trial_id

# At least so many seconds between two copies, and so many times as long as the last one took.
_MIN_WAIT_S, _WAIT_TIMES = 10.0, 10.0
# What a run begins with; a trial's folder and the ledgers come as the search goes on.
# That a study was edited is known there before the edited study is.
_FIRST = (EDITS_FILE, "study.yaml", PREPROCESSING_FILE, "profiles", "data")
_FRONT = "front.json"
_CHANGING = ("study.yaml", _FRONT)
# A whole object appears at once there; elsewhere a file is written beside and moved into place.
_OBJECT_STORES = ("s3", "gcs", "abfs")
_PARTIAL = ".part"


class Mirror:
    """The copy of one run below an address; its folder has the run folder's name.

    Args:
        address: what `pyarrow.fs.FileSystem.from_uri` takes, such as s3://bucket/runs.
        folder: the run's.

    Raises:
        UsageError: for an address that pyarrow does not know, or one with credentials in it.
    """

    def __init__(self, address: str, folder: RunFolder) -> None:
        from pyarrow import fs

        parts = urlsplit(address)
        if "@" in parts.netloc:
            raise UsageError(
                "mirror: the address holds credentials, which would stand in the run's study.yaml; "
                "give them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        name = folder.path.resolve().name
        # For people: without what stands behind a question mark, such as an endpoint.
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/{name}"
        self._folder = folder
        # Of what is there, by name; None until it has been asked.
        self._sizes: dict[str, int] | None = None
        try:
            self._files, base = fs.FileSystem.from_uri(address)
        except (ValueError, OSError) as error:
            raise UsageError(
                f"mirror: {address}: {_short(error)}; give an address such as s3://bucket/runs, "
                "gs://bucket/runs or file:///folder"
            ) from error
        self._base = f"{base.rstrip('/')}/{name}"

    def fetch(self) -> int:
        """Copy the run from there into an empty folder; return the number of its files.

        Nothing happens where the folder has a study already, or there is no copy.

        Raises:
            UsageError: if the address cannot be read, or holds another run than the folder, or more
                of this one.
        """
        from pyarrow import fs

        try:
            if self._files.get_file_info(self._there("study.yaml")).type != fs.FileType.File:
                return 0
            if self._folder.study.exists():
                self._check_same()
                self._check_not_ahead()
                return 0
            self._sizes = {n: size for n, size in self._listed().items() if self._is_ours(n)}
            # The study last: with it the folder counts as a run.
            for name in sorted(self._sizes, key=lambda name: name == "study.yaml"):
                write_bytes(self._here(name), self._read(name))
        except OSError as error:
            raise self._unreadable(error) from error
        return len(self._sizes)

    def update(self) -> None:
        """Copy what has come since the last time.

        Raises:
            OSError: if something cannot be written there.
        """
        path = self._folder.path
        if self._sizes is None:
            self._sizes = self._listed()
        ledgers = {file: _whole_lines(path / file) for file in _ledgers(self._folder)}
        known = self._sizes.get(self._folder.ledger.name, 0)
        trials = _ids(ledgers[self._folder.ledger.name][known:])
        again = RunFolder(path / REPEATS)
        repeated = {
            f"{REPEATS}/{file}": _whole_lines(again.path / file) for file in _ledgers(again)
        }
        repeats = _ids(repeated[f"{REPEATS}/{again.ledger.name}"])
        places = (*(f"{TRIALS}/{i}" for i in trials), *(f"{REPEATS}/{TRIALS}/{i}" for i in repeats))
        for place in (*_FIRST, *places, _FRONT):
            for file in _files_of(path / place):
                name = file.relative_to(path).as_posix()
                # Of all files these alone may change within one size.
                if self._sizes.get(name) != file.stat().st_size or name in _CHANGING:
                    self._write(name, file.read_bytes())
        for name, content in {**repeated, **ledgers}.items():
            if content and self._sizes.get(name) != len(content):
                self._write(name, content)

    def _listed(self) -> dict[str, int]:
        """Return the sizes of all files of the copy by name."""
        from pyarrow import fs

        wanted = fs.FileSelector(self._base, recursive=True, allow_not_found=True)
        return {
            str(PurePosixPath(info.path).relative_to(self._base)): int(info.size)
            for info in self._files.get_file_info(wanted)
            if info.type == fs.FileType.File and not info.path.endswith(_PARTIAL)
        }

    def _write(self, name: str, content: bytes) -> None:
        self._put(self._there(name), content)
        assert self._sizes is not None
        self._sizes[name] = len(content)

    def _put(self, place: str, content: bytes) -> None:
        if self._files.type_name in _OBJECT_STORES:
            with self._files.open_output_stream(place) as stream:
                stream.write(content)
            return
        self._files.create_dir(str(PurePosixPath(place).parent), recursive=True)
        with self._files.open_output_stream(place + _PARTIAL) as stream:
            stream.write(content)
        self._files.move(place + _PARTIAL, place)

    def _read(self, name: str) -> bytes:
        with self._files.open_input_stream(self._there(name)) as stream:
            content: bytes = stream.read()
        return content

    def _there(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _is_ours(self, name: str) -> bool:
        """Tell whether a file of the copy is one that `update` writes; others are left there."""
        first = PurePosixPath(name).parts[0]
        return first in (*_FIRST, TRIALS, REPEATS, _FRONT, *_ledgers(self._folder))

    def _here(self, name: str) -> Path:
        """Return where a copied file goes; it never leaves the run's folder, by a link neither."""
        *folders, file = PurePosixPath(name).parts
        if ".." in (*folders, file) or PurePosixPath(name).is_absolute():
            raise UsageError(
                f"mirror: {self.address} holds {name!r}, which leaves the run's folder"
            )
        return folder_inside(self._folder.path, *folders) / file

    def _check_same(self) -> None:
        there, here = self._read("study.yaml"), self._folder.study.read_bytes()
        if there != here and not self._is_behind(there, here):
            raise UsageError(
                f"mirror: {self.address} holds another run than {self._folder.path}; give another "
                "mirror, or choose another --out"
            )

    def _is_behind(self, there: bytes, here: bytes) -> bool:
        """Tell whether the copy is of this run, before an edit that it has not heard of."""
        from pyarrow import fs

        try:
            old, new = (parse_yaml(text.decode(), "study.yaml").data for text in (there, here))
        except (UsageError, UnicodeDecodeError):
            return False
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return False
        edits, known = self._folder.edits, b""
        if self._files.get_file_info(self._there(EDITS_FILE)).type == fs.FileType.File:
            known = self._read(EDITS_FILE)
        told = edits.read_bytes() if edits.is_file() else b""
        # When and where it began, and all else that an edit leaves.
        fixed = {*old, *new} - {*RENEWABLE}
        kept = all(old.get(key) == new.get(key) for key in fixed)
        return kept and told.startswith(known)

    def _check_not_ahead(self) -> None:
        """Refuse to write over trials that another folder of this run has finished."""
        ledger = self._folder.ledger
        there = self._files.get_file_info(self._there(ledger.name)).size or 0
        if there > len(_whole_lines(ledger)):
            raise UsageError(
                f"mirror: {self.address} has finished trials that {self._folder.path} lacks; move "
                "that folder away: an empty one is filled from there"
            )

    def _unreadable(self, error: OSError) -> UsageError:
        return UsageError(
            f"mirror: {self.address} cannot be read ({_short(error)}); see to its address, "
            "permissions and credentials, or remove the key"
        )


@contextmanager
def mirrored(mirror: Mirror | None, recorder: Recorder) -> Iterator[None]:
    """Keep a copy of the run up to date from a thread of its own, and once more at the end.

    What cannot be copied is said among the run's incidents; the search goes on, and the same
    command copies what is missing.
    """
    if mirror is None:
        yield
        return
    news, over = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=_keep_up, args=(mirror, recorder, news, over), name="growsearch-mirror", daemon=True
    )
    recorder.listeners.append(news.set)
    news.set()
    thread.start()
    try:
        yield
    finally:
        recorder.listeners.remove(news.set)
        over.set()
        news.set()
        thread.join()
        _try(mirror, recorder, last=True)


def _keep_up(
    mirror: Mirror, recorder: Recorder, news: threading.Event, over: threading.Event
) -> None:
    while True:
        news.wait()
        if over.is_set():
            return
        news.clear()
        started = time.monotonic()
        _try(mirror, recorder, last=False)
        took = time.monotonic() - started
        over.wait(max(_MIN_WAIT_S, _WAIT_TIMES * took))


def _try(mirror: Mirror, recorder: Recorder, *, last: bool) -> None:
    """Copy; only the end's failure counts, as a later copy makes up for an earlier one."""
    try:
        mirror.update()
    except (OSError, ValueError) as error:
        if last:
            recorder.incidents.append(
                f"mirror {mirror.address} is behind ({_short(error)}); everything is in "
                f"{recorder.folder.path}, and the same command copies what is missing"
            )


def _ledgers(folder: RunFolder) -> tuple[str, ...]:
    """Return the files that are appended to, the one that counts last."""
    return (folder.starts.name, REJECTED_FILE, folder.ledger.name)


def _whole_lines(path: Path) -> bytes:
    """Return the lines of a ledger that were written to their end."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]


def _ids(lines: bytes) -> list[str]:
    """Return the trials that ledger lines name."""
    found = []
    for line in lines.splitlines():
        try:
            name = json.loads(line)["id"]
        except (ValueError, KeyError, TypeError):
            # Cut short by a crash; the ledger's reader says so.
            continue
        if is_trial_id(name):
            found.append(name)
    return found


def _files_of(path: Path) -> list[Path]:
    """Return the files below ``path``; a link, which may lead anywhere, is not copied."""
    if path.is_symlink():
        return []
    if path.is_file():
        return [path]
    found = path.rglob("*") if path.is_dir() else ()
    return sorted(file for file in found if file.is_file() and not file.is_symlink())


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def mirror_of(address: str | None, folder: RunFolder) -> Mirror | None:
    """Return the mirror at ``address``, None without one.

    Raises:
        UsageError: see `Mirror`.
    """
    return None if address is None else Mirror(address, folder)
