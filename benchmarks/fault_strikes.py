"""What strikes a trial, and how is seen what came of it? Every trial notes its epochs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.cloudpickle

from growsearch.kinds import CandidateConfig, trial_id
from growsearch.trial.record import Trial
from growsearch.trial.retries import train_and_score
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask

# Workers cannot import a benchmark by its name.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

STRIKE_AFTER = 2  # epochs
PATIENCE_S = 600.0

Strike = Callable[[Path], None]


def noted(
    config: CandidateConfig,
    task: TrialTask,
    seed: int,
    report: Report,
    *,
    notes: Path,
    strike: Strike,
    times: int,
) -> Trial:
    """Train as ever, note every epoch, and strike after the second one, ``times`` times in all."""
    notes.mkdir(exist_ok=True)

    def spy(record: Any) -> None:
        report(record)
        with (notes / f"{trial_id(config, seed)}.epochs").open("a") as file:
            file.write(f"{record.epoch}\n")
        if record.epoch >= STRIKE_AFTER and _once(notes, times):
            (notes / "struck").write_text(json.dumps(config.to_json()))
            strike(notes)

    return train_and_score(config, task, seed, spy)


def _once(notes: Path, times: int) -> bool:
    """Tell whether one more strike is due; each is taken by one process alone."""
    for index in range(times):
        with contextlib.suppress(FileExistsError):
            (notes / f"strike-{index}").touch(exist_ok=False)
            return True
    return False


def no_strike(_notes: Path) -> None:
    """Strike nothing."""


def raise_error(_notes: Path) -> None:
    raise RuntimeError("injected: a bug in a layer")


def kill_worker(_notes: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_to_be_killed(notes: Path) -> None:
    (notes / "waiting").touch()
    time.sleep(10 * PATIENCE_S)


def hanging(
    _config: CandidateConfig, _task: TrialTask, _seed: int, _report: Report, *, held: Path
) -> Trial:
    """Stand for a trial that waits for a lock which another process holds for ever."""
    with held.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    raise AssertionError("the lock was free")


def fill_the_disk(notes: Path) -> None:
    with contextlib.suppress(OSError), (notes.parent / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))


def wait_on(node: str, notes: Path) -> None:
    if ray.get_runtime_context().get_node_id() == node:
        wait_to_be_killed(notes)
    for strike in notes.glob("strike-*"):
        strike.unlink()


def broken(*_: object) -> Trial:
    """Stand for a trial with a bug in it."""
    raise RuntimeError("injected: a bug in a layer")


def wait_after_the_first_trial(notes: Path) -> None:
    """Wait for death unless nothing has finished yet."""
    ledger = notes.parent / "run" / "trials.jsonl"
    if ledger.exists():
        wait_to_be_killed(notes)
