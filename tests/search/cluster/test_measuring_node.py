"""Which nodes may measure, decided from what a cluster says of its nodes."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import ray

from growsearch.errors import GrowsearchError
from growsearch.kinds import DataChoice
from growsearch.search.cluster.measuring_node import resource_of, with_measuring_nodes
from growsearch.search.cluster.session import check_gpus, node_problem
from growsearch.trial.task import TrialTask

TASK = TrialTask(
    data=DataChoice(name="digits", folder=None),
    devices=("cpu", "wafer-cs2"),
    folder=Path("/shared/run"),
)
TRAINS = {"CPU": 4.0}
MEASURES = {resource_of("cpu"): 1.0}


def _cluster(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, float], dead: int = -1) -> None:
    found: list[dict[str, Any]] = [
        {"Alive": index != dead, "NodeManagerHostname": f"host{index}", "Resources": resources}
        for index, resources in enumerate(nodes)
    ]
    monkeypatch.setattr(ray, "nodes", lambda: found)


def test_a_measured_device_with_a_node_of_its_own_is_measured_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _cluster(monkeypatch, TRAINS, MEASURES)
    task = with_measuring_nodes(TASK, ["A", "B"])
    assert task.measure is not None
    assert dataclasses.replace(task, measure=None) == TASK


def test_a_measuring_node_with_cpus_is_refused_with_the_command_that_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _cluster(monkeypatch, TRAINS, {**MEASURES, "CPU": 2.0})
    with pytest.raises(GrowsearchError, match=r"host1 offers .* and CPUs.*--num-cpus=0"):
        with_measuring_nodes(TASK, ["A"])


def test_without_a_measuring_node_only_equal_processors_may_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _cluster(monkeypatch, TRAINS, TRAINS)
    assert with_measuring_nodes(TASK, ["A", "A"]) == TASK
    with pytest.raises(GrowsearchError, match=r"latency\[cpu\] .* different processors \(A, B\)"):
        with_measuring_nodes(TASK, ["A", "B"])


def test_a_measuring_node_that_died_counts_not(monkeypatch: pytest.MonkeyPatch) -> None:
    _cluster(monkeypatch, TRAINS, MEASURES, dead=1)
    assert with_measuring_nodes(TASK, ["A"]).measure is None


def test_a_device_with_a_profile_or_an_analytic_model_needs_no_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _cluster(monkeypatch, TRAINS, TRAINS)
    predicted = dataclasses.replace(TASK, profiles={"cpu": Path("cpu.json")})
    assert with_measuring_nodes(predicted, ["A", "B"]) == predicted


def test_a_share_of_a_gpu_that_no_living_node_has_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _cluster(monkeypatch, TRAINS, {"GPU": 1.0}, {"GPU": 8.0}, dead=2)
    check_gpus(0.0)
    check_gpus(1.0)
    with pytest.raises(GrowsearchError, match=r"gpus_per_trial = 2, but no node of 2 has so much"):
        check_gpus(2.0)


def test_a_node_without_the_run_or_the_data_says_what_it_lacks(tmp_path: Path) -> None:
    data = DataChoice(name="digits", folder=tmp_path / "data")
    task = dataclasses.replace(TASK, folder=tmp_path / "run", data=data)
    assert "a folder that all nodes share" in node_problem(task)
    task.folder.mkdir()
    (task.folder / "study.yaml").touch()
    assert "put the data on every node" in node_problem(task)
    (tmp_path / "data").mkdir()
    assert node_problem(task) == ""
