"""Figures of each class and the table of confusion: evaluated, kept, shown and refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands.evaluate import classes_of
from growsearch.datasets import Split, from_tensors
from growsearch.errors import UsageError
from growsearch.metrics import class_confusion, per_class
from growsearch.report import read_run, write_report
from growsearch.report.evaluations import read_evaluation
from growsearch.report.page_data import page_data
from growsearch.search.study.study import Study


def test_precision_recall_and_count_are_those_by_hand() -> None:
    table = torch.tensor([[8, 2, 0], [1, 4, 0], [3, 0, 0]])
    first, second, third = per_class(table)
    assert (first.count, first.precision, first.recall) == (10, 8 / 12, 8 / 10)
    assert (second.count, second.precision, second.recall) == (5, 4 / 6, 4 / 5)
    assert (third.count, third.precision, third.recall) == (3, None, 0.0)


def test_a_class_that_does_not_occur_has_no_recall() -> None:
    assert per_class(torch.tensor([[1, 1], [0, 0]]))[1].recall is None


def test_the_confusion_counts_true_classes_by_row() -> None:
    split = Split(inputs=torch.eye(3), labels=torch.tensor([0, 0, 2]))
    assert class_confusion(nn.Identity(), split, classes=3).tolist() == [
        [1, 1, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]


def test_numbers_and_several_labels_have_no_classes() -> None:
    data = from_tensors(torch.zeros(60, 4), torch.arange(60.0), task="regression")
    assert classes_of(nn.Identity(), data, "test") == {}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    space = {"space": "mlp-digits", "transform": "none", "sparsity": 0.5, "epochs": 1}
    study = Study(
        {
            "name": "tiny",
            "dataset": "digits",
            "trials": {"sparse": space},
            "objectives": {"accuracy": "maximize", "macs": "minimize"},
            "search": {"trials": 1, "backend": "serial"},
        },
        folder,
    )
    study.run()
    return folder, study.trials[0].id


def test_evaluate_keeps_and_shows_every_class(run: tuple[Path, str]) -> None:
    folder, trial = run
    done = CliRunner().invoke(app, ["evaluate", str(folder), trial, "--metrics", "accuracy"])
    assert done.exit_code == 0, done.output
    assert "mostly taken for" in done.output
    assert any(line.startswith("9 ") for line in done.output.splitlines())
    found = read_evaluation(folder / "trials" / trial)
    assert found is not None
    table = torch.tensor(found["confusion"])
    assert int(table.sum()) == found["examples"]
    right = float(table.diagonal().sum() / table.sum())
    assert found["metrics"]["accuracy"] == pytest.approx(right)
    assert [entry["count"] for entry in found["classes"]] == table.sum(dim=1).tolist()


def _written(folder: Path, trial: str, change: dict[str, Any]) -> Path:
    place = folder / "trials" / trial
    whole = {
        "data": "digits",
        "split": "test",
        "examples": 3,
        "metrics": {"accuracy": 1.0},
        "classes": [
            {"name": name, "count": 1, "precision": 1.0, "recall": None} for name in ("a", "b")
        ],
        "confusion": [[1, 0], [0, 1]],
    }
    (place / "evaluation.json").write_text(json.dumps({**whole, **change}))
    return place


@pytest.mark.parametrize(
    "change",
    [
        {"confusion": [[1, 0]]},
        {"confusion": [[1, 0], [0, -1]]},
        {"confusion": [[1, 0], [0, 0.5]]},
        {"confusion": None},
        {"classes": [{"name": 5, "count": 1}] * 2},
        {"classes": [{"name": "a", "count": 1, "precision": 2.0, "recall": 1.0}] * 2},
        {"classes": [], "confusion": [[1]]},
        {"classes": [{"name": "a", "count": 1}] * 101, "confusion": [[0] * 101] * 101},
    ],
)
def test_a_table_that_is_none_is_refused(run: tuple[Path, str], change: dict[str, Any]) -> None:
    place = _written(*run, change)
    with pytest.raises(UsageError, match="holds no evaluation"):
        read_evaluation(place)
    (place / "evaluation.json").unlink()


def test_names_of_classes_are_text_on_the_page_and_never_markup(run: tuple[Path, str]) -> None:
    folder, trial = run
    name = "<script>alert(1)</script>"
    entry = {"name": name, "count": 1, "precision": 1.0, "recall": 1.0}
    place = _written(folder, trial, {"classes": [entry, {**entry, "name": "b"}]})
    data = page_data(read_run(folder))
    evaluation = data["details"][trial]["evaluation"]
    assert [each["name"] for each in evaluation["classes"]] == [name, "b"]
    assert evaluation["confusion"] == [[1, 0], [0, 1]]
    page = write_report(folder)["html"].read_text()
    assert name not in page
    (place / "evaluation.json").unlink()
