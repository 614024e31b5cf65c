"""Trials of several workers on Ray: the same as of one, and what a killed worker costs."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from growsearch.kinds import DataChoice, candidate_from_json
from growsearch.search.study.study import Study
from growsearch.trial.retries import train_and_score
from growsearch.trial.task import TrialTask

# Five starts of a training on Ray: `make test-cluster`.
pytestmark = [
    pytest.mark.ray,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(
        os.environ.get("GROWSEARCH_CLUSTER_TESTS") != "1",
        reason="starts workers on Ray again and again: GROWSEARCH_CLUSTER_TESTS is not 1 "
        "(make test-cluster)",
    ),
]


def _workers_of_this_process() -> list[int]:
    """The processes of Ray Train that descend from this one."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            names[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])

    def ours(process: int) -> bool:
        while process in parents and process != os.getpid():
            process = parents[process]
        return process == os.getpid()

    return sorted(p for p, name in names.items() if "RayTrainWorker" in name and ours(p))


def _kill_one_when(checkpoint_of: Path, killed: list[int]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = _workers_of_this_process()
        if len(found) >= 2 and list(checkpoint_of.glob("trials/*/checkpoint.safetensors")):
            os.kill(found[-1], signal.SIGKILL)
            killed.append(found[-1])
            return
        time.sleep(0.02)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for workers in /proc")
def test_a_trial_of_two_workers_of_which_one_is_killed_ends_as_that_of_one_worker(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["trials"] = {"growth": {**tiny["trials"]["growth"], "epochs": 12}}
    tiny["search"] |= {"backend": "ray", "trials": 1, "workers_per_trial": 2}
    killed: list[int] = []
    killer = threading.Thread(target=_kill_one_when, args=(run_folder, killed))
    killer.start()
    study = Study(tiny, run_folder)
    study.run()
    killer.join()
    (trial,) = study.trials
    assert killed
    assert trial.status == "finished", trial.error
    alone = train_and_score(
        candidate_from_json(trial.config), _task_beside(run_folder), 3, lambda _: None
    )
    assert alone.id == trial.id
    assert alone.network_hash == trial.network_hash
    assert alone.metrics["training_macs"] == trial.metrics["training_macs"]
    assert alone.metrics["accuracy"] == pytest.approx(trial.metrics["accuracy"], abs=0.02)
    left = [p.name for p in (run_folder / "trials" / trial.id).iterdir()]
    assert "workers" not in left


def _task_beside(run_folder: Path) -> TrialTask:
    other = run_folder.parent / "alone"
    other.mkdir()
    return TrialTask(
        data=DataChoice(name="digits", folder=None), devices=("wafer-cs2",), folder=other
    )
