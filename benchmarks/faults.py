"""What does a search lose when something breaks? Each fault is injected for real and counted.

Every trial notes its epochs, so that what ran twice is seen; what a trial that was struck comes to
is compared with the same trial undisturbed. "lost" are finished trials that the ledger no longer
has, "twice" are ledger lines and epochs that came again. Both must be 0. A fault's line is written
as soon as it is there.

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
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import yaml
from fault_kinds import MACHINE, tried_candidate, tried_machine
from fault_networks import WRONG
from fault_place import (
    Finding,
    Place,
    finding,
    finished_ids,
    killed_at_the_end,
    mount,
    options,
    settings,
    small_disk,
    study,
    two_nodes,
    wait_for,
)
from fault_strikes import (
    PATIENCE_S,
    broken,
    fill_the_disk,
    hanging,
    kill_worker,
    no_strike,
    noted,
    raise_error,
    wait_after_the_first_trial,
    wait_on,
)
from rich.console import Console
from rich.table import Table

from growsearch.errors import GrowsearchError
from growsearch.files import write_json
from growsearch.search.study.study import Study, StudyOptions

RESULTS = Path(__file__).parent / "results" / "faults.json"
CLUSTER = Path(__file__).parent / "cluster.py"

# Of each of several messages.
MAX_SAID = 120
# (folder, kind, backend, address of a cluster) -> what was said.
Tried = Callable[[Path, str, str, str | None], str]


def raising(place: Place, times: int) -> Finding:
    study(place, 2).run(options(place, raise_error, times=times, cluster=False))
    return finding("raising trial", f"{times} RuntimeErrors after epoch 2", place, [], "")


def always_raising(place: Place, times: int) -> Finding:
    search = study(place, times)
    search.run(StudyOptions(run=broken))
    message = str(search.trials[0].error)
    return finding("trial that always raises", f"{times} trials", place, [], message)


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
        with killed_at_the_end(process):
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


def tune_files(place: Place) -> list[Path]:
    from growsearch.search.backends.ray.backend import scratch_folder

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
        # What a shell starts in the background ignores SIGINT, and so would its children.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    with killed_at_the_end(process):
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
            mount("-o", "remount,ro", str(place.folder))
            try:
                study(place, 2 + index).run(options(place, no_strike, cluster=False))
            except GrowsearchError as error:
                message = str(error)
            mount("-o", "remount,rw", str(place.folder))
        study(place, 1 + times).run(options(place, no_strike, cluster=False))
        return finding("read-only storage", f"{times} x remounted", place, before, message)


def twice(place: Place, times: int) -> Finding:
    """Start a second search in the folder of one that runs."""
    process = drive(place, 2, "serial")
    message = ""
    with killed_at_the_end(process):
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


def wrong_token(place: Place, times: int) -> Finding:
    """Submit searches with a wrong token to a cluster of its own, and then one with the right one.

    Trials on two nodes, latencies on a third one: see `cluster.py`.
    """
    out = place.folder / "cluster.json"
    command = [sys.executable, str(CLUSTER), "--trials", "2", "--out", str(out)]
    done = subprocess.run(
        [*command, "--refused", str(times)],
        env={key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["wrong_token"]["exit_code"] == 1, found
    return Finding(
        fault="wrong token",
        injected=f"{times} submissions to a cluster of three nodes, then a right one",
        finished=found["trials"],
        lost=2 - found["trials"],
        twice=0,
        equal=found["measured_on_the_measuring_node"] == 2,
        message=found["wrong_token"]["message"],
    )


def a_candidates(place: Place, _times: int, *, backend: str) -> Finding:
    """Search over networks that cannot be trained, each in its own way, beside a sound one."""
    return _of_a_kind("a candidate's own trouble", list(WRONG), tried_candidate, place, backend)


def the_machines(place: Place, _times: int, *, backend: str) -> Finding:
    """Break the machine under a trial, each time in another way; mend it, and go on."""
    return _of_a_kind("the machine's trouble", list(MACHINE), tried_machine, place, backend)


def _of_a_kind(title: str, kinds: list[str], tried: Tried, place: Place, backend: str) -> Finding:
    """Try every kind once; whatever is lost, twice or not as it should be raises."""
    address = place.cluster.address if backend == "ray" else None
    said = [
        f"{kind}: {tried(place.folder / kind, kind, backend, address)[:MAX_SAID]}" for kind in kinds
    ]
    return Finding(
        fault=f"{title}, {backend}",
        injected=f"{len(kinds)} kinds once each: {', '.join(kinds)}",
        finished=len(said),
        lost=0,
        twice=0,
        equal=True,
        message="; ".join(said),
    )


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
    "token": wrong_token,
    "candidate": functools.partial(a_candidates, backend="serial"),
    "machine": functools.partial(the_machines, backend="serial"),
    "candidate-ray": functools.partial(a_candidates, backend="ray"),
    "machine-ray": functools.partial(the_machines, backend="ray"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="how often each fault strikes")
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--drive", nargs=3, metavar=("FOLDER", "ADDRESS", "TRIALS"))
    chosen = parser.parse_args()
    if chosen.drive:
        drive_here(Path(chosen.drive[0]), chosen.drive[1], int(chosen.drive[2]))
        return
    # Some faults struck again leave the lines of the others.
    found = {} if set(chosen.faults) == set(FAULTS) else earlier(chosen.times)
    with two_nodes() as cluster:
        for name in chosen.faults:
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                entry = FAULTS[name](Place(folder=Path(folder), cluster=cluster), chosen.times)
            found[entry.fault] = entry
            entries = [asdict(entry) for entry in found.values()]
            write_json(RESULTS, {"times": chosen.times, "faults": entries})
    show(list(found.values()))


def earlier(times: int) -> dict[str, Finding]:
    """Return what is written down of as many strikes, by fault."""
    if not RESULTS.exists():
        return {}
    data = json.loads(RESULTS.read_text())
    entries = [Finding(**entry) for entry in data["faults"]] if data["times"] == times else []
    return {entry.fault: entry for entry in entries}


def show(found: list[Finding]) -> None:
    table = Table("fault", "injected", "finished", "lost", "twice", "as undisturbed", "message")
    for entry in found:
        equal = "yes" if entry.equal else "NO"
        counts = map(str, (entry.finished, entry.lost, entry.twice))
        table.add_row(entry.fault, entry.injected, *counts, equal, entry.message)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
