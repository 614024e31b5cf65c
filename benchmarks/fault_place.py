"""Where is a fault tried, and what is counted afterwards? A folder, a cluster, a ledger."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_strikes import PATIENCE_S, Strike, noted
from ray.cluster_utils import Cluster

from growsearch.kinds import DataChoice, candidate_from_json
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.retries import train_and_score
from growsearch.trial.task import TrialTask

EPOCHS = 4


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a fault is tried: an empty folder and a cluster of two nodes."""

    folder: Path
    cluster: Cluster

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def notes(self) -> Path:
        return self.folder / "notes"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a fault did to a search and what was said."""

    fault: str
    injected: str
    finished: int
    lost: int
    twice: int
    equal: bool
    message: str


def study(place: Place, trials: int, **search: Any) -> Study:
    """Return a search of small networks in ``place``, serial unless told otherwise."""
    return Study(settings(trials, **search), place.run)


def settings(trials: int, **search: Any) -> dict[str, Any]:
    return {
        "name": "faults",
        "dataset": "digits",
        "trials": {
            "sparse": {
                "space": "mlp-digits",
                "transform": "none",
                "sparsity": {"low": 0.5, "high": 0.9},
                "updater": ["static", "rigl"],
                "learning_rate": search.pop("learning_rate", 0.1),
                "epochs": EPOCHS,
            }
        },
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": trials, "seed": 1, "sampler": "random", "backend": "serial", **search},
    }


def options(place: Place, strike: Strike, *, times: int = 1, cluster: bool = True) -> StudyOptions:
    run = functools.partial(noted, notes=place.notes, strike=strike, times=times)
    return StudyOptions(address=place.cluster.address if cluster else None, run=run)


def finding(fault: str, injected: str, place: Place, before: list[str], message: str) -> Finding:
    """Count what is in the ledger and in the notes."""
    ids = [json.loads(line)["id"] for line in _ledger_lines(place)]
    epochs = Counter(
        (file.stem, line) for file in place.notes.glob("*.epochs") for line in file.open()
    )
    return Finding(
        fault=fault,
        injected=injected,
        finished=sum(trial.finished for trial in read_ledger(_ledger(place)).trials),
        lost=len(set(before) - set(ids)),
        twice=len(ids) - len(set(ids)) + sum(n - 1 for n in epochs.values()),
        equal=_as_undisturbed(place),
        message=message,
    )


def _ledger(place: Place) -> Path:
    return place.run / "trials.jsonl"


def _ledger_lines(place: Place) -> list[str]:
    return [line for line in _ledger(place).read_text().splitlines() if line.endswith("}")]


def finished_ids(place: Place) -> list[str]:
    if not _ledger(place).exists():
        return []
    return [trial.id for trial in read_ledger(_ledger(place)).trials]


def _as_undisturbed(place: Place) -> bool:
    """Tell whether the struck trial came to what it comes to when nothing happens."""
    struck = place.notes / "struck"
    if not struck.exists():
        return True
    config = candidate_from_json(json.loads(struck.read_text()))
    clean = TrialTask(
        data=DataChoice(name="digits", folder=None), devices=(), folder=place.folder / "clean"
    )
    expected = train_and_score(config, clean, 1, lambda _: None)
    found = read_ledger(_ledger(place)).by_id().get(expected.id)
    return found is not None and (not found.finished or found.metrics == expected.metrics)


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something has happened; a process that ends before is an error."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"ended too early: {process.communicate()[1]}")
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.05)


@contextlib.contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def may_mount() -> bool:
    """Tell whether this process may mount a small disk."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), "1m"):
                return True
        except OSError:
            return False


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a tmpfs of ``size`` on a folder."""
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise OSError(f"mount {' '.join(arguments)}: {error}") from error


@contextlib.contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Start a cluster of two nodes with one CPU each; its files go with it."""
    temporary = tempfile.mkdtemp(prefix="gs")
    arguments = {"num_cpus": 1, "temp_dir": temporary, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    try:
        yield cluster
    finally:
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)
