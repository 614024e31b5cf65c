"""Faults of two kinds, injected for real: a candidate's own, and the machine's under a candidate.

A candidate's trouble must be a failed trial beside finished ones. The machine's must stop the
search with exit code 1 and leave its trial unfinished; the next start finishes it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray.cloudpickle
import torch
from fault_networks import WRONG
from sklearn.datasets import load_digits

from growsearch.errors import GrowsearchError
from growsearch.kinds import CandidateConfig, trial_id
from growsearch.kinds.latency import fitted_profile
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.record import Trial
from growsearch.trial.retries import train_and_score
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask

# Workers cannot import a benchmark by its name.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

HERE = Path(__file__).parent
PROFILE = HERE / "results" / "cpu_resnet20_profile.json"
_NOBODY = 65534
# More than an address space that is as large as it has become still takes.
_BYTES = 2**30

# Breaks something for as long as it is entered; the epochs of the trial that it strikes.
Break = Callable[[TrialTask], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFault:
    """What breaks, whether before the trial or after its first epoch, and what must be said."""

    breaks: Break
    says: str
    after_an_epoch: bool = False


@contextlib.contextmanager
def _moved_away(path: Path) -> Iterator[None]:
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextlib.contextmanager
def _limit(which: int, soft: int) -> Iterator[None]:
    before, hard = resource.getrlimit(which)
    resource.setrlimit(which, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (before, hard))


def data_vanish(task: TrialTask) -> contextlib.AbstractContextManager[None]:
    assert task.data.folder is not None
    return _moved_away(task.data.folder)


@contextlib.contextmanager
def profile_vanishes(task: TrialTask) -> Iterator[None]:
    with _moved_away(task.profiles["cpu"]):
        fitted_profile.cache_clear()
        yield


@contextlib.contextmanager
def no_temporary_folder(_task: TrialTask) -> Iterator[None]:
    """No folder for temporary files can be written to, as on a full disk."""
    before, tempfile.tempdir = tempfile.tempdir, None
    try:
        with _limit(resource.RLIMIT_FSIZE, 0):
            yield
    finally:
        tempfile.tempdir = before


def too_many_files(_task: TrialTask) -> contextlib.AbstractContextManager[None]:
    return _limit(resource.RLIMIT_NOFILE, 3)


def full_disk(_task: TrialTask) -> contextlib.AbstractContextManager[None]:
    return _limit(resource.RLIMIT_FSIZE, 1000)


@contextlib.contextmanager
def no_right(task: TrialTask) -> Iterator[None]:
    """Run as somebody who may not write there; who is not root takes the right from the folder."""
    if os.geteuid() == 0:
        os.seteuid(_NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    folders = list((task.folder / "trials").iterdir())
    for folder in folders:
        folder.chmod(0o500)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o700)


@contextlib.contextmanager
def no_memory(_task: TrialTask) -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + 2**26):
        bytearray(_BYTES)
        yield


@contextlib.contextmanager
def no_memory_for_torch(_task: TrialTask) -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + 2**26):
        torch.zeros(_BYTES // 4)
        yield


@contextlib.contextmanager
def no_package(_task: TrialTask) -> Iterator[None]:
    importlib.import_module("a_package_that_was_removed")
    yield


MACHINE: dict[str, MachineFault] = {
    "data": MachineFault(breaks=data_vanish, says="data_dir: .* is not a folder"),
    "profile": MachineFault(breaks=profile_vanishes, says="cannot read profile"),
    "temporary": MachineFault(breaks=no_temporary_folder, says="set TMPDIR"),
    "files": MachineFault(breaks=too_many_files, says="Too many open files.*open files or disk"),
    "disk": MachineFault(
        breaks=full_disk, says="File too large.*free some space", after_an_epoch=True
    ),
    "right": MachineFault(breaks=no_right, says="Permission denied", after_an_epoch=True),
    "memory": MachineFault(breaks=no_memory, says="MemoryError.*free memory", after_an_epoch=True),
    "torch-memory": MachineFault(
        breaks=no_memory_for_torch, says="can't allocate.*free memory", after_an_epoch=True
    ),
    "package": MachineFault(
        breaks=no_package, says="a_package_that.*install what is missing", after_an_epoch=True
    ),
}


def struck(
    config: CandidateConfig,
    task: TrialTask,
    seed: int,
    report: Report,
    *,
    name: str,
    fault: MachineFault,
) -> Trial:
    """Run a trial as ever, and trial ``name`` on a machine that breaks."""
    if trial_id(config, seed) != name:
        return train_and_score(config, task, seed, report)
    with contextlib.ExitStack() as stack:
        if not fault.after_an_epoch:
            stack.enter_context(fault.breaks(task))

        def listen(record: Any) -> None:
            report(record)
            if fault.after_an_epoch and record.epoch == 1:
                stack.enter_context(fault.breaks(task))

        return train_and_score(config, task, seed, listen)


def write_data(folder: Path) -> Path:
    """Write 200 digits as arrays of one's own; return their folder."""
    images, labels = load_digits(return_X_y=True)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = images[:200].reshape(-1, 1, 8, 8).astype(np.float32) / 16
    np.savez(folder / "data.npz", inputs=inputs, labels=labels[:200])
    return folder


def settings(folder: Path, *, backend: str, trials: int, profile: bool = False) -> dict[str, Any]:
    """Return a study of a small network; with ``profile`` its latency is predicted from one."""
    second = "latency[cpu]" if profile else "macs"
    return {
        "name": "fault-kinds",
        "dataset": "arrays",
        "data_dir": str(folder / "arrays"),
        "trials": {
            "sparse": {
                "space": "resnet-digits" if profile else "mlp-digits",
                "transform": "none",
                "sparsity": {"low": 0.5, "high": 0.9},
                "epochs": 2,
            }
        },
        "objectives": {"accuracy": "maximize", second: "minimize"},
        "profiles": {"cpu": str(PROFILE)} if profile else {},
        "search": {"trials": trials, "seed": 1, "sampler": "random", "backend": backend},
    }


def tried_machine(folder: Path, fault: str, backend: str, address: str | None = None) -> str:
    """Strike the second trial of three; go on, and return what was said.

    Raises:
        AssertionError: if the search did not stop with exit code 1, or a trial was lost or booked.
    """
    write_data(folder / "arrays")
    run, found = folder / f"{fault}-{backend}", MACHINE[fault]

    def study(trials: int, backend: str, place: Path) -> Study:
        profile = fault == "profile"
        return Study(settings(folder, backend=backend, trials=trials, profile=profile), place)

    planned = study(2, "serial", folder / f"{fault}-plan")
    planned.run()
    struck_one = planned.trials[1]
    study(1, "serial", run).run()
    search = study(3, backend, run)
    strike = functools.partial(struck, name=struck_one.id, fault=found)
    code, message = _outcome(search, StudyOptions(address=address, run=strike))
    assert code == 1, code
    assert re.search(found.says, message), message
    assert struck_one.id not in {trial.id for trial in search.trials}, "it was booked"
    assert struck_one.id in search.folder.read_starts(), "it was not left unfinished"
    last = study(3, "serial", run)
    last.run()
    ended = {trial.id: trial for trial in last.trials}
    assert len(ended) == 3, sorted(ended)
    assert all(trial.finished for trial in last.trials), [t.error for t in last.trials]
    assert ended[struck_one.id].metrics == struck_one.metrics
    return message


def _outcome(search: Study, options: StudyOptions) -> tuple[int, str]:
    """Return the exit code of the command line for this search, and what it says."""
    try:
        search.run(options)
    except GrowsearchError as error:
        return error.exit_code, str(error)
    return 0, ""


def tried_candidate(folder: Path, network: str, backend: str, address: str | None = None) -> str:
    """Search over a network with something wrong and a sound one; return the reason that is booked.

    Raises:
        AssertionError: if the search did not go on, or said something else.
    """
    write_data(folder / "arrays")
    spaces = [f"fault_networks:{name}" for name in (network, "Sound")]
    config = settings(folder, backend=backend, trials=2)
    config["code_dir"] = str(HERE)
    config["trials"]["sparse"] |= {
        "space": spaces,
        "updater": "rigl",
        "sparsity": 0.5,
        "batch_size": 8,
    }
    config["search"]["points_to_evaluate"] = [{"space": space} for space in spaces]
    # A worker of Ray's first imports everything.
    limit_s = 5 if backend == "serial" else 30
    config["search"]["time_limit"] = limit_s if network == "Slow" else None
    search = Study(config, folder / f"{network}-{backend}")
    search.run(StudyOptions(address=address))
    wrong, sound = search.trials
    assert wrong.failed, wrong.status
    assert re.search(WRONG[network], str(wrong.error)), wrong.error
    assert sound.finished, sound.error
    return str(wrong.error)
