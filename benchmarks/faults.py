"""What does a search lose when something breaks? Each fault is injected for real and counted.

Every trial notes its epochs, so that what ran twice is seen; what a trial that was struck comes to
is compared with the same trial undisturbed. "lost" are finished trials that the ledger no longer
has, "twice" are ledger lines and epochs that came again. Both must be 0.

    python benchmarks/faults.py --times 3
    python benchmarks/faults.py --faults hang node
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray.cloudpickle
import yaml
from ray.cluster_utils import Cluster
from rich.console import Console
from rich.table import Table

from growsearch.errors import GrowsearchError
from growsearch.files import write_json
from growsearch.search.study import Study, StudyOptions
from growsearch.trial.attempts import train_and_score
from growsearch.trial.config import TrialConfig, config_from_json
from growsearch.trial.record import Trial, read_ledger
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask

# Workers cannot import a benchmark by its name.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

RESULTS = Path(__file__).parent / "results" / "faults.json"
EPOCHS = 4
STRIKE_AFTER = 2  # epochs
PATIENCE_S = 600.0

Strike = Callable[[Path], None]


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


def noted(
    config: TrialConfig,
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
        with (notes / f"{_name(config, seed)}.epochs").open("a") as file:
            file.write(f"{record.epoch}\n")
        if record.epoch >= STRIKE_AFTER and _once(notes, times):
            (notes / "struck").write_text(json.dumps(config.to_json()))
            strike(notes)

    return train_and_score(config, task, seed, spy)


def _name(config: TrialConfig, seed: int) -> str:
    from growsearch.trial.config import trial_id

    return trial_id(config, seed)


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
    _config: TrialConfig, _task: TrialTask, _seed: int, _report: Report, *, held: Path
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
    config = config_from_json(json.loads(struck.read_text()))
    clean = TrialTask(dataset="digits", data_dir=None, devices=(), folder=place.folder / "clean")
    expected = train_and_score(config, clean, 1, lambda _: None)
    found = read_ledger(_ledger(place)).by_id().get(expected.id)
    return found is not None and (not found.finished or found.metrics == expected.metrics)


def raising(place: Place, times: int) -> Finding:
    study(place, 2).run(options(place, raise_error, times=times, cluster=False))
    return finding("raising trial", f"{times} RuntimeErrors after epoch 2", place, [], "")


def always_raising(place: Place, times: int) -> Finding:
    search = study(place, times)
    search.run(StudyOptions(run=broken))
    message = str(search.trials[0].error)
    return finding("trial that always raises", f"{times} trials", place, [], message)


def broken(*_: object) -> Trial:
    """Stand for a trial with a bug in it."""
    raise RuntimeError("injected: a bug in a layer")


def worker(place: Place, times: int) -> Finding:
    search = study(place, 2, backend="ray")
    search.run(options(place, kill_worker, times=times))
    message = "; ".join(search.incidents)
    return finding("killed worker", f"{times} SIGKILLs after epoch 2", place, [], message)


def driver(place: Place, times: int) -> Finding:
    """Kill the driver with kill -9, cut Tune's files, put stale ones there, go on."""
    before: list[str] = []
    for _ in range(times):
        process = drive(place, 2, "ray")
        with _killed_at_the_end(process):
            wait_for(lambda: (place.notes / "waiting").exists(), process)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        before += finished_ids(place)
        (place.notes / "waiting").unlink()
        spoil_tune_files(place)
    last = study(place, 2 + times, backend="ray")
    last.run(options(place, no_strike))
    message = f"{last.resumed_trials} trials were kept"
    done = "kill -9, then every file of Tune's cut in half and a stale searcher beside it"
    return finding(
        "killed driver, truncated Tune state", f"{times} x {done}", place, before, message
    )


def drive(place: Place, trials: int, backend: str) -> subprocess.Popen[str]:
    """Start a driver in a process of its own; a trial waits for death after its second epoch."""
    address = place.cluster.address if backend == "ray" else ""
    arguments = [str(place.folder), address, str(trials)]
    return subprocess.Popen(
        [sys.executable, __file__, "--drive", *arguments],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def drive_here(folder: Path, address: str, trials: int) -> None:
    run = functools.partial(
        noted, notes=folder / "notes", strike=wait_after_the_first_trial, times=1000
    )
    search = Study(settings(trials, backend="ray" if address else "serial"), folder / "run")
    search.run(StudyOptions(address=address or None, run=run))


def wait_after_the_first_trial(notes: Path) -> None:
    """Wait for death unless nothing has finished yet."""
    ledger = notes.parent / "run" / "trials.jsonl"
    if ledger.exists():
        wait_to_be_killed(notes)


def tune_files(place: Place) -> list[Path]:
    from growsearch.search.ray_backend import scratch_folder

    return [file for file in scratch_folder(place.run).rglob("*") if file.is_file()]


def spoil_tune_files(place: Place) -> None:
    files = tune_files(place)
    assert any("experiment_state" in file.name for file in files), files
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
    (files[0].parent / "searcher-state-2020-01-01_00-00-00.pkl").write_bytes(b"stale")


def hang(place: Place, times: int) -> Finding:
    """Let trials wait for a lock for ever; the watchdog ends them."""
    study(place, 1).run(options(place, no_strike, cluster=False))
    before, held = finished_ids(place), place.folder / "held.lock"
    with held.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        search = study(place, 1 + times, backend="ray", time_limit=3)
        run = functools.partial(hanging, held=held)
        search.run(StudyOptions(address=place.cluster.address, run=run))
    message = next(str(trial.error) for trial in search.trials if not trial.finished)
    return finding("hanging trial", f"{times} waiting for a lock for ever", place, before, message)


def not_a_number(place: Place, times: int) -> Finding:
    search = study(place, times, learning_rate=1e30)
    search.run(options(place, no_strike, cluster=False))
    message = str(search.trials[0].error)
    return finding("loss is NaN", f"{times} with learning rate 1e30", place, [], message)


def interrupt(place: Place, times: int) -> Finding:
    """Press Ctrl-C: the whole foreground group gets SIGINT, as from a terminal."""
    message, before = "", []
    for _ in range(times):
        message = _interrupted_once(place)
        before += finished_ids(place)
    study(place, len(set(before)) + 1).run(options(place, no_strike, cluster=False))
    return finding("Ctrl-C", f"{times} SIGINTs to the group", place, before, message)


def _interrupted_once(place: Place) -> str:
    """Start a long search from the command line, stop it, and return what it says."""
    file = place.folder / "study.yaml"
    file.write_text(yaml.safe_dump(settings(50, backend="ray")))
    wanted = len(finished_ids(place)) + 1
    command = [sys.executable, "-c", "from growsearch.cli import main; main()", "search", str(file)]
    process = subprocess.Popen(
        [*command, "--out", str(place.run), "--address", place.cluster.address],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with _killed_at_the_end(process):
        wait_for(lambda: len(finished_ids(place)) >= wanted, process)
        os.killpg(process.pid, signal.SIGINT)
        message = process.communicate(timeout=PATIENCE_S)[1].strip()
    assert process.returncode == 130, message
    return message


def node(place: Place, times: int) -> Finding:
    """Kill a node of the cluster in the middle of a trial."""
    message, before = "", []
    for index in range(times):
        victim = place.cluster.add_node(num_cpus=1)
        place.cluster.wait_for_nodes()
        search = study(place, 3 + index, backend="ray", parallel=2)
        strike = functools.partial(wait_on, victim.node_id)
        with background_run(search, options(place, strike, times=index + 1)) as running:
            wait_for(lambda: (place.notes / "waiting").exists() or not running())
            place.cluster.remove_node(victim, allow_graceful=False)
        (place.notes / "waiting").unlink()
        before += finished_ids(place)
        message = "; ".join(search.incidents)
    return finding("killed node", f"{times} x a node after epoch 2", place, before, message)


@contextlib.contextmanager
def background_run(search: Study, how: StudyOptions) -> Iterator[Callable[[], bool]]:
    """Run a search in another thread while the block goes on; its error is raised at the end."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(search.run, how)
        yield lambda: not future.done()
        future.result(PATIENCE_S)


def full_disk(place: Place, times: int) -> Finding:
    """Fill the disk in the middle of a trial; free it, and go on."""
    message, before = "", []
    with small_disk(place.folder, "128m"):
        for index in range(times):
            search = study(place, 2 + index, backend="ray")
            try:
                search.run(options(place, fill_the_disk, times=index + 1))
            except GrowsearchError as error:
                message = str(error)
            before += finished_ids(place)
            (place.folder / "filler").unlink(missing_ok=True)
        study(place, 2 + times).run(options(place, no_strike, cluster=False))
        return finding("full disk", f"{times} x a tmpfs filled up", place, before, message)


def read_only(place: Place, times: int) -> Finding:
    """Make the storage read-only between two sessions; make it writable, and go on."""
    message = ""
    with small_disk(place.folder, "128m"):
        for index in range(times):
            study(place, 1 + index).run(options(place, no_strike, cluster=False))
            before = finished_ids(place)
            _mount("-o", "remount,ro", str(place.folder))
            try:
                study(place, 2 + index).run(options(place, no_strike, cluster=False))
            except GrowsearchError as error:
                message = str(error)
            _mount("-o", "remount,rw", str(place.folder))
        study(place, 1 + times).run(options(place, no_strike, cluster=False))
        return finding("read-only storage", f"{times} x remounted", place, before, message)


def twice(place: Place, times: int) -> Finding:
    """Start a second search in the folder of one that runs."""
    process = drive(place, 2, "serial")
    message = ""
    with _killed_at_the_end(process):
        wait_for(lambda: (place.notes / "waiting").exists(), process)
        for _ in range(times):
            try:
                study(place, 2).run(options(place, no_strike, cluster=False))
            except GrowsearchError as error:
                message = str(error)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = finished_ids(place)
    study(place, 2).run(options(place, no_strike, cluster=False))
    return finding("second search in the folder", f"{times} launches", place, before, message)


FAULTS: dict[str, Callable[[Place, int], Finding]] = {
    "raise": raising,
    "always-raise": always_raising,
    "worker": worker,
    "driver": driver,
    "hang": hang,
    "nan": not_a_number,
    "interrupt": interrupt,
    "node": node,
    "full-disk": full_disk,
    "read-only": read_only,
    "twice": twice,
}


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
def _killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
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
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="how often each fault strikes")
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--drive", nargs=3, metavar=("FOLDER", "ADDRESS", "TRIALS"))
    chosen = parser.parse_args()
    if chosen.drive:
        drive_here(Path(chosen.drive[0]), chosen.drive[1], int(chosen.drive[2]))
        return
    found = []
    with two_nodes() as cluster:
        for name in chosen.faults:
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                found.append(
                    FAULTS[name](Place(folder=Path(folder), cluster=cluster), chosen.times)
                )
    show(found)
    write_json(RESULTS, {"times": chosen.times, "faults": [asdict(entry) for entry in found]})


def show(found: list[Finding]) -> None:
    table = Table("fault", "injected", "finished", "lost", "twice", "as undisturbed", "message")
    for entry in found:
        equal = "yes" if entry.equal else "NO"
        counts = map(str, (entry.finished, entry.lost, entry.twice))
        table.add_row(entry.fault, entry.injected, *counts, equal, entry.message)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
