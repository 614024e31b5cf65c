import dataclasses
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import TensorDataset

from growsearch.commands.evaluate import Asked, evaluation
from growsearch.datasets import Dataset, from_torch, load_dataset, subset
from growsearch.errors import UsageError
from growsearch.search.study.study import Study
from search_spaces.code_origin import CodeOfRun

_OWN = """
from torch.utils.data import Subset, TensorDataset
from growsearch.datasets import load_dataset

def streamed():
    digits = load_dataset("digits")
    parts = {n: digits.split(n).at(slice(0, 200)) for n in ("train", "validation", "test")}
    return {**{n: TensorDataset(p.inputs, p.labels) for n, p in parts.items()}, "num_classes": 10}
"""

# Nothing lists these labels; a file counts how often an example is read.
_LABELS = """
from pathlib import Path
import torch
from torch.nn import functional as F
from torch.utils.data import Dataset

class Rows(Dataset):
    def __init__(self, kind):
        drawn = torch.rand(64, 1, 2, 2, generator=torch.Generator().manual_seed(0))
        self.inputs, rows = drawn, drawn.flatten(1)
        self.given = {
            "numbers": 500 + 30 * rows.sum(dim=1),
            "constant": torch.full((64,), 2.5),
            "several": rows[:, :3] > 0.5,
            "boxes": rows.view(-1, 2, 2),
        }[kind]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, place):
        with (Path(__file__).parent / "read.txt").open("a") as file:
            file.write(".")
        return self.inputs[place], self.given[place]

def numbers():
    return Rows("numbers")

def listed():
    rows = Rows("numbers")
    rows.targets = rows.given.tolist()
    return rows

def constant():
    return Rows("constant")

def several():
    return {part: Rows("several") for part in ("train", "validation", "test")}

def boxes():
    return Rows("boxes")

class Boxes:
    metrics = {"error": "minimize"}

    def loss(self, outputs, targets):
        return F.l1_loss(outputs.view(-1, 2, 2), targets)

    def scores(self, outputs, targets):
        return {"error": (outputs.view(-1, 2, 2) - targets).abs().mean()}
"""


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of streamed data with other labels than classes."""
    name = f"streamed_labels_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(_LABELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def short(tiny: dict[str, Any]) -> dict[str, Any]:
    del tiny["trials"]["growth"]
    tiny["trials"]["sparse"]["transform"] = "none"
    tiny["search"] |= {"trials": 1, "sampler": "random"}
    return tiny


def _digits() -> Dataset:
    return subset(load_dataset("digits"), train=300, validation=60, test=60)


def _streamed(digits: Dataset) -> Dataset:
    parts = [TensorDataset(s.inputs, s.labels) for s in (digits.validation, digits.test)]
    train = TensorDataset(digits.train.inputs, digits.train.labels)
    return from_torch(train, validation=parts[0], test=parts[1], num_classes=10)


def test_a_study_of_streamed_data_ends_as_one_in_memory(
    short: dict[str, Any], tmp_path: Path
) -> None:
    digits = dataclasses.replace(_digits(), name="own")
    found = []
    for name, data in (("memory", digits), ("streamed", _streamed(digits))):
        keys = {"data": {"workers": 2}} if name == "streamed" else {}
        study = Study({**short, **keys, "dataset": data}, tmp_path / name)
        study.run()
        (trial,) = study.trials
        assert trial.finished, trial.error
        found.append((trial.id, trial.metrics, trial.network_hash))
        assert any("streamed" in line for line in study.data_lines) == (name == "streamed")
    assert found[0] == found[1]
    assert not (tmp_path / "streamed" / "data").exists()


def test_a_run_of_a_streamed_object_is_not_resumed_with_other_data(
    short: dict[str, Any], tmp_path: Path
) -> None:
    data = _streamed(_digits())
    Study({**short, "dataset": data}, tmp_path / "run").run()
    Study({**short, "dataset": data}, tmp_path / "run").run()
    other = dataclasses.replace(data, train=data.validation)
    with pytest.raises(UsageError, match="dataset was 'given@"):
        Study({**short, "dataset": other}, tmp_path / "run").run()
    with pytest.raises(UsageError, match="an object in Python"):
        Study(tmp_path / "run" / "study.yaml").run()


def test_streamed_data_are_named_as_own_code_is(
    short: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streamed_digits.py").write_text(_OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {**short, "dataset": "streamed_digits:streamed", "data": {"workers": 0}}
    study = Study(config, tmp_path / "run")
    study.run()
    assert study.trials[0].finished, study.trials[0].error
    assert study.config.dataset.startswith("streamed_digits:streamed@")


@pytest.mark.parametrize(
    ("data", "task", "metric", "better"),
    [
        ("numbers", "regression", "mae", "minimize"),
        ("several", "multi-label", "mAP", "maximize"),
        ("boxes", "Boxes", "error", "minimize"),
    ],
)
def test_other_labels_are_searched_judged_and_evaluated(
    short: dict[str, Any],
    labels: str,
    tmp_path: Path,
    data: str,
    task: str,
    metric: str,
    better: str,
) -> None:
    config = {
        **short,
        "dataset": f"{labels}:{data}",
        "task": f"{labels}:{task}" if task == "Boxes" else task,
        "data": {"workers": 0},
        "objectives": {metric: better, "macs": "minimize"},
    }
    study = Study(config, tmp_path / "run")
    study.run()
    (trial,) = study.trials
    assert trial.finished, trial.error
    assert {metric, f"test_{metric}"} <= set(trial.metrics)
    judged = evaluation(
        tmp_path / "run", trial, Asked(metrics="all", split="test"), CodeOfRun(tmp_path)
    )
    assert judged["metrics"][metric] == pytest.approx(trial.metrics[f"test_{metric}"], rel=1e-5)
    assert "classes" not in judged


def test_labels_are_read_once_a_run_and_that_is_told(
    short: dict[str, Any], labels: str, tmp_path: Path
) -> None:
    short["search"]["trials"] = 2
    keys = {"task": "regression", "objectives": {"mae": "minimize", "macs": "minimize"}}
    counts, metrics, told = [], [], []
    for data in ("listed", "numbers"):
        config = {**short, **keys, "dataset": f"{labels}:{data}", "data": {"workers": 0}}
        study, before = Study(config, tmp_path / data), _read(tmp_path)
        study.run()
        counts.append(_read(tmp_path) - before)
        metrics.append([trial.metrics for trial in study.trials])
        told.append([line for line in study.data_lines if "not listed" in line])
    assert metrics[0] == metrics[1]
    # One pass of the training examples for both trials, and the search itself.
    assert counts[1] - counts[0] == 53
    assert told == [
        [],
        [
            "  note: labels of the 53 training examples are not listed, and are read once by a "
            "pass of their own; a list, called targets or labels, saves it"
        ],
    ]


def _read(folder: Path) -> int:
    return (folder / "read.txt").stat().st_size if (folder / "read.txt").exists() else 0


def test_a_constant_that_no_list_tells_is_refused_before_anything_trains(
    short: dict[str, Any], labels: str, tmp_path: Path
) -> None:
    config = {
        **short,
        "dataset": f"{labels}:constant",
        "task": "regression",
        "data": {"workers": 0},
        "objectives": {"mae": "minimize", "macs": "minimize"},
    }
    with pytest.raises(UsageError, match=r"all training labels are 2\.5"):
        Study(config, tmp_path / "run").run()
    assert not (tmp_path / "run" / "trials").exists()
