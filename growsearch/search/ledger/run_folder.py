"""Run folder: where a run lives, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from growsearch import __version__
from growsearch.datasets import same_dataset
from growsearch.errors import GrowsearchError, UsageError
from growsearch.fault_origin import run_is_gone
from growsearch.files import (
    append_line,
    folder_inside,
    refuse_link,
    storage_error,
    write_text,
)
from growsearch.kinds import KINDS, CandidateConfig, candidate_from_json
from growsearch.reading import parse_json, read_limited, reading, write_yaml
from growsearch.report.resolved_study import read_resolved_study
from growsearch.report.run_data import EDITS_FILE
from growsearch.search.config.file import PROVENANCE, load_study
from growsearch.search.config.study import StudyConfig
from growsearch.shown_text import shown
from growsearch.trial.record import as_time
from growsearch.trial.repeats import REPEATS
from growsearch.trial.retries import is_complete
from growsearch.trial.trial_folder import TRIALS, is_trial_id, trial_folder
from search_spaces.typed_code import COMPILED_CODE, is_typed
from search_spaces.user_code import is_own, typed_code

_VERSIONS_OF = ("torch", "ray", "optuna", "numpy", "fvcore", "moocore")
# A search needs room for weights and ledger; below this it would fail in the middle.
_MAX_BYTES = 2**30
_MIN_FREE_BYTES = 64 * 2**20
# How often, and how far apart, a lock is asked for that may be held for a look alone.
_LOOKERS, _LOOK_S = 4, 0.05
# What a search makes in its folder; a link in the place of one would lead it elsewhere.
_FOLDERS = (TRIALS, REPEATS, "profiles", "data", "shared", "tensorboard", "wandb")
_DATA = "data"
# Of what may differ, what is read off the run afterwards.
_RENEWED = ("select",)
# What may be edited while a run goes on: what is drawn, and by what it is compared.
EDITABLE = ("trials", "objectives", "constraints", "baselines")
# The sections of study.yaml that an edit or a resume may write anew.
RENEWABLE = (*_RENEWED, *EDITABLE, "profiles")
# What may differ between a run and the study that resumes it.
_MAY_CHANGE = (
    "search.trials",
    "search.parallel",
    "search.backend",
    "search.time_limit",
    "search.time_budget",
    "search.repeats",
    "search.gpus_per_trial",
    "search.cpus_per_trial",
    "search.workers_per_trial",
    "training.device",
    "select",
    "data_dir",
    "data.memory",
    "data.workers",
    "code_dir",
    "trackers",
    "mirror",
    # Where files of a kind of trial lie.
    *(f"trials.{kind.name}.{key}" for kind in KINDS.values() for key in kind.space.whereabouts),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A trial that was started: its id, its place, what it trains and what the sampler chose.

    ``started_at`` is when, in Unix time, seconds; None in lines that do not say it.
    """

    id: str
    number: int
    candidate: CandidateConfig
    params: Mapping[str, Any]
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def study(self) -> Path:
        """The resolved study with its provenance."""
        return self.path / "study.yaml"

    @property
    def ledger(self) -> Path:
        """One line a finished trial, append-only."""
        return self.path / "trials.jsonl"

    @property
    def starts(self) -> Path:
        """One line a started trial, append-only."""
        return self.path / "started.jsonl"

    @property
    def edits(self) -> Path:
        """One line an edit of the study, append-only; missing where it was never edited."""
        return self.path / EDITS_FILE

    @property
    def front(self) -> Path:
        """The front of the finished trials."""
        return self.path / "front.json"

    def open(self, study: StudyConfig, edited: Collection[str] = ()) -> bool:
        """Create the folder, or check that it holds the same study; tell whether it is a resume.

        Args:
            study: what runs in it.
            edited: the settings that may differ from those that it holds, by dotted key.

        Raises:
            UsageError: if another study lives here.
            GrowsearchError: if the folder cannot be written or its disk is all but full.
        """
        resumed = self.study.exists()
        if resumed:
            check_same(self.path, load_study(self.study, run=True), study, edited)
        elif self.path.exists() and {file.name for file in self.path.iterdir()} - {"run.lock"}:
            raise UsageError(
                f"{self.path} holds other files and no study.yaml; choose another --out"
            )
        self.check_space()
        if not resumed:
            content = {**study.to_plain(), PROVENANCE: provenance()}
            write_text(self.study, write_yaml(content))
        else:
            self._renew(study, edited)
        return resumed

    def _renew(self, study: StudyConfig, edited: Collection[str]) -> None:
        """Write what the study asks now, of a choice too: whoever reads the run goes by it."""
        before, now = read_resolved_study(self.study), study.to_plain()
        sections = {*_RENEWED, *(key.partition(".")[0] for key in edited)}
        # Of objectives the order counts, which mappings do not compare.
        changed = {
            key: now[key]
            for key in now
            if key in sections and (before.get(key) != now[key] or key in edited)
        }
        if changed:
            write_text(self.study, write_yaml({**before, **changed}))

    def trial(self, name: str) -> Path:
        """Return the folder of a trial's files; see `trial_folder`."""
        return trial_folder(self.path, name)

    def identity(self) -> tuple[int, int]:
        """Return what tells this folder from another one of its name.

        Raises:
            MachineError: if it is there no longer.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            raise run_is_gone(self.path) from error
        return found.st_dev, found.st_ino

    def complete_trials(self, without: Container[str]) -> list[str]:
        """Return the trials, ``without`` some, whose files say that a ledger had them.

        What finished and reached no ledger still has its checkpoint or its outcome beside it.
        """
        try:
            folders = sorted((self.path / TRIALS).iterdir())
        except OSError:
            return []
        others = (folder for folder in folders if folder.name not in without)
        return [f.name for f in others if is_trial_id(f.name) and is_complete(f)]

    def check_space(self) -> None:
        """Refuse to start something on a disk that is all but full.

        Raises:
            GrowsearchError: with what is free and what to do; what was finished is kept.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            found = os.statvfs(self.path)
        except OSError as error:
            raise storage_error(self.path, error) from error
        free = found.f_bavail * found.f_frsize
        if free < _MIN_FREE_BYTES:
            raise GrowsearchError(
                f"{self.path}: only {free / 2**20:.0f} MiB are free on this disk, "
                f"{_MIN_FREE_BYTES // 2**20} are needed. What was finished is kept; free some "
                "space and run the same command again: it resumes; or choose another --out"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second search out of this folder; the lock goes with the process.

        Raises:
            UsageError: if a search runs here already.
            MachineError: if the folder cannot be written, or what a search writes to in it is a
                link or a pipe.
        """
        self._check_links()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = _opened_lock(self.path / "run.lock")
        except OSError as error:
            raise storage_error(self.path, error) from error
        with file:
            if not _taken(file):
                raise UsageError(
                    f"{self.path}: another run is at work in this folder{_holder(file)}; "
                    "wait for it, or choose another --out"
                )
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {platform.node()}")
            file.flush()
            yield

    def _check_links(self) -> None:
        for name in _FOLDERS:
            folder_inside(self.path, name)
        for file in (self.study, *self.path.glob("*.jsonl")):
            refuse_link(file)

    def record_start(self, start: Start) -> None:
        """Append a start; what has a start and no ledger line is unfinished."""
        data = {
            "id": start.id,
            "number": start.number,
            "candidate": start.candidate.to_json(),
            "params": dict(start.params),
        }
        if start.started_at is not None:
            data["started_at"] = start.started_at
        append_line(self.starts, json.dumps(data, allow_nan=False, separators=(",", ":")))

    def read_starts(self) -> dict[str, Start]:
        """Return the started trials by id; a line cut short by a crash is passed over.

        Raises:
            UsageError: for an id that would lead out of the run's folder.
        """
        found: dict[str, Start] = {}
        if not self.starts.exists():
            return found
        with reading(self.starts, "restore it, or remove it to sample these trials anew"):
            lines = read_limited(self.starts, _MAX_BYTES).split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                # A power cut leaves NUL bytes where a file had grown.
                data = parse_json(line.strip(b"\0"))
                start = Start(
                    id=str(data["id"]),
                    number=int(data["number"]),
                    candidate=candidate_from_json(data["candidate"]),
                    params=dict(data["params"]),
                    started_at=as_time(data.get("started_at")),
                )
            except (ValueError, KeyError, TypeError, OverflowError, UsageError):
                # The start was never acted upon: its trial begins after this line is on disk.
                continue
            if not is_trial_id(start.id):
                raise UsageError(
                    f"{self.starts}:{number}: id {start.id[:80]!r} is no trial's; remove the line"
                )
            found.setdefault(start.id, start)
        return found


def _opened_lock(path: Path) -> TextIO:
    """Open the lock for reading and writing, through no link: what it holds is written anew."""
    refuse_link(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "r+")


def _taken(file: TextIO) -> bool:
    """Take the lock; who only looks whether it is held has it for a moment, which is waited for."""
    for _ in range(_LOOKERS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_S)
        else:
            return True
    return False


def _holder(file: TextIO) -> str:
    file.seek(0)
    who = file.read(200).strip()
    return f" ({who})" if who else ""


def check_local(path: Path) -> None:
    """Refuse an address such as s3://bucket/run where a folder is needed.

    Raises:
        UsageError: with the reason and the remedy.
    """
    if "\0" in str(path):
        raise UsageError(f"{shown(str(path))}: a folder's name has no NUL in it; give another")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise UsageError(
            f"{path}: a run lives in a folder, on this machine or shared by a cluster's nodes. The "
            "ledger is appended to and flushed, trial by trial, which an object store cannot do; "
            f"give a folder, and mirror: {path} in the study for a copy there"
        )


def fresh_folder(wanted: Path) -> Path:
    """Return the first of ``wanted``, ``wanted-2``, ``wanted-3`` ... that does not exist."""
    candidate, index = wanted, 2
    try:
        while candidate.exists():
            candidate, index = wanted.with_name(f"{wanted.name}-{index}"), index + 1
    except OSError as error:
        raise storage_error(wanted, error) from error
    return candidate


def provenance() -> dict[str, Any]:
    """Return what a result depends on beside its study: versions, host, revision, date."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": _git_revision(),
        "versions": {
            "python": platform.python_version(),
            # Our own number: on a cluster we may have been sent along, not installed.
            "growsearch": __version__,
            **{name: version(name) for name in _VERSIONS_OF},
        },
        "host": {
            "platform": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def _git_revision() -> str | None:
    """Return the revision of the checkout that growsearch runs from, if it is one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def check_same(
    folder: Path, before: StudyConfig, now: StudyConfig, edited: Collection[str]
) -> None:
    """Refuse a study that differs from a run's in more than it may and in what was ``edited``.

    Raises:
        UsageError: naming the key, both values and what to do.
    """
    for key, old, new in differences(before.to_plain(), now.to_plain()):
        if key in edited or (key == "dataset" and same_dataset(old, new)):
            continue
        check_code(key, old, new)
        raise UsageError(
            f"{folder} holds a run of another study: {key} was {old!r} and is {new!r} now. "
            "Use --fresh for a new folder, or --out for one of your own"
            f"{_learning_from(folder, key)}"
        )


def _learning_from(folder: Path, key: str) -> str:
    """Return how a new run learns from the trials of this one, where they are of the same data."""
    data = ("dataset", "data", "subset", "text", "task", "augmentation")
    if key.partition(".")[0] in data:
        return ""
    return f"; with search: {{warm_start: [{folder}]}} the new run learns from its trials"


def check_code(key: str, before: Any, now: Any) -> None:
    """Say of names that differ in the hash alone that the code has changed.

    Raises:
        UsageError: with both hashes.
    """
    olds, news = (each if isinstance(each, list) else [each] for each in (before, now))
    names = {str(name).partition("@")[0]: str(name) for name in news if is_own(str(name))}
    for old in map(str, olds):
        plain, _, then = old.partition("@")
        if key != "dataset" and plain in names and names[plain] != old:
            if is_typed(plain):
                (now,) = typed_code([plain])
                of = "" if now.of_source else f" of {COMPILED_CODE}"
                raise UsageError(
                    f"{key}: {plain}: its code is not what it was ({then} then, {now.digest}{of} "
                    "now), and trials of both cannot be compared; type it as it was, or give Study "
                    "another folder to start anew in"
                )
            raise UsageError(
                f"{key}: {plain}: its code is not what it was ({then} then, "
                f"{names[plain].partition('@')[2]} now); restore it, or start anew with --fresh"
            )


def differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, old, new) for the innermost settings that differ and may not."""
    if key in _MAY_CHANGE or before == now:
        return
    if key == _DATA:
        # A study without the section is one that leaves all of it at its default.
        before, now = before or {}, now or {}
    if not (isinstance(before, dict) and isinstance(now, dict)):
        yield key, before, now
        return
    for part in dict.fromkeys([*before, *now]):
        yield from differences(
            before.get(part), now.get(part), f"{key}.{part}" if key else str(part)
        )
