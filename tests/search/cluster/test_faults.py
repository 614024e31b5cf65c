"""Faults injected for real, as the benchmark does: what is finished stays, nothing runs twice."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_PATH = Path(__file__).parents[3] / "benchmarks" / "faults.py"
# It is split over modules beside it.
sys.path.append(str(_PATH.parent))
_spec = importlib.util.spec_from_file_location("benchmarks_faults", _PATH)
assert _spec is not None
assert _spec.loader is not None
faults = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = faults
_spec.loader.exec_module(faults)

# What must be there at the end, and what must have been said.
SERIAL = {
    "raise": (2, ""),
    "always-raise": (
        0,
        r"RuntimeError: injected: a bug in a layer at fault_strikes\.py:\d+, 4 times",
    ),
    "nan": (
        0,
        r"DivergedError: the loss became (nan|inf) in epoch 1, step \d+; lower the learning",
    ),
    "read-only": (2, r"cannot write .*: Read-only file system\. What was finished is kept; make"),
    "twice": (2, r"another run is at work in this folder \(process \d+ on .*\); wait for it, or"),
}
ON_A_CLUSTER = {
    "worker": (2, r"its worker died \(1 of at most 3 times\); it was taken up again where"),
    "driver": (3, "1 trials were kept"),
    "hang": (1, r"limit of 3 s passed and it hung in hanging \(fault_strikes\.py:\d+\); give more"),
    "interrupt": (2, r"Stopped\. \d+ finished trials are kept in .*; run the same command again"),
    "node": (3, "its worker died"),
    "full-disk": (3, r"No space left on device\. What was finished is kept; free some space and"),
    "token": (2, "RAY_AUTH_TOKEN_PATH"),
    "candidate-ray": (8, "Diverging: DivergedError"),
    "machine-ray": (9, "memory: MemoryError"),
}
# Kind by kind in tests/search/study/test_whose_fault.py.
KIND_BY_KIND = {"candidate", "machine"}
NEED_A_DISK = ("read-only", "full-disk")

# Minutes of Ray nodes on one machine: `make test-cluster`.
on_a_cluster = pytest.mark.skipif(
    os.environ.get("GROWSEARCH_CLUSTER_TESTS") != "1",
    reason="starts clusters for minutes: GROWSEARCH_CLUSTER_TESTS is not 1 (make test-cluster)",
)


def _check(name: str, place: Any, finished: int, words: str) -> None:
    if name in NEED_A_DISK and not sys.modules["fault_place"].may_mount():
        pytest.skip("mounting a small disk needs root and the right to mount")
    found = faults.FAULTS[name](place, 1)
    assert found.lost == 0, found
    assert found.twice == 0, found
    assert found.equal, found
    assert found.finished >= finished, found
    assert re.search(words, found.message), found.message


def test_every_fault_of_the_benchmark_is_tested() -> None:
    assert {*SERIAL, *ON_A_CLUSTER, *KIND_BY_KIND} == set(faults.FAULTS)


# The search that is there already takes half a minute to start and stop; its refusal is tested with
# the run folder.
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=on_a_cluster) if n == "twice" else n for n in SERIAL]
)
def test_a_fault_without_ray_loses_nothing_and_says_what_to_do(name: str, tmp_path: Path) -> None:
    _check(name, faults.Place(folder=tmp_path, cluster=None), *SERIAL[name])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with faults.two_nodes() as found:
        yield found


@on_a_cluster
@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ON_A_CLUSTER)
def test_a_fault_on_a_cluster_of_two_nodes_loses_nothing_and_says_what_to_do(
    name: str, tmp_path: Path, cluster: Any
) -> None:
    _check(name, faults.Place(folder=tmp_path, cluster=cluster), *ON_A_CLUSTER[name])
