"""Studies of numbers and of several labels, from their data to an exported network."""

from pathlib import Path
from typing import Any

import pytest
import torch

from growsearch.commands.evaluate import Asked, evaluation
from growsearch.errors import UsageError
from growsearch.report import read_run, write_report
from growsearch.search.study.study import Study
from search_spaces.code_origin import CodeOfRun


def _inputs() -> torch.Tensor:
    return torch.randn(200, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def _numbers() -> torch.Tensor:
    return 500 + 30 * _inputs().flatten(1).sum(dim=1)


def _study(labels: torch.Tensor, **keys: Any) -> dict[str, Any]:
    trials = {
        "growth": {"space": "mlp-digits", "budget": {"parameters": "30%"}, "epochs": 2},
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": [0.5, 0.8],
            "distribution": ["erk", "snip"],
            "updater": ["rigl"],
            "epochs": 2,
        },
    }
    return {
        "name": "other",
        "dataset": (_inputs(), labels),
        "trials": trials,
        "search": {"trials": 3, "seed": 1, "backend": "serial"},
        **keys,
    }


def test_a_regression_is_searched_reported_chosen_and_exported_in_its_own_unit(
    tmp_path: Path,
) -> None:
    config = _study(
        _numbers(),
        task="regression",
        objectives={"mae": "minimize", "parameters": "minimize"},
        constraints={"r2": {"min": 0.0}},
        select={"max": {"mae": 60}},
    )
    for kind in config["trials"].values():
        kind |= {"optimizer": "adamw", "learning_rate": 0.01, "batch_size": 27, "epochs": 8}
    study = Study(config, tmp_path / "run")
    front = study.run()
    assert all(trial.finished for trial in study.trials), [t.error for t in study.trials]
    best = front.members[0]
    trial = next(t for t in study.trials if t.id == best.id)
    assert "accuracy" not in trial.metrics
    assert {"mse", "mae", "r2", "test_mse", "test_mae", "test_r2"} <= set(trial.metrics)
    history = (tmp_path / "run" / "trials" / best.id / "history.csv").read_text()
    assert history.startswith("epoch,loss,training_macs,forward_macs,mse,mae,r2")
    model = study.load(best)
    data = study.config.data_choice.load().dataset
    found = model(data.test.inputs).detach()[:, 0]
    assert float((found - data.test.labels).abs().mean()) == pytest.approx(
        trial.metrics["test_mae"], rel=1e-4
    )
    judged = evaluation(
        tmp_path / "run",
        trial,
        Asked(metrics="all", split="test", data_dir=tmp_path / "run" / "data"),
        CodeOfRun(),
    )
    assert set(judged["metrics"]) == {"mse", "mae", "r2"}
    assert judged["metrics"]["mae"] == pytest.approx(trial.metrics["test_mae"])
    assert "classes" not in judged
    result = study.export(best)
    assert "argmax" not in (result.folder / "load.py").read_text()
    card = (result.folder / "MODEL_CARD.md").read_text()
    assert "logits" not in card
    assert "Mean absolute error" in card
    page = write_report(tmp_path / "run")["html"].read_text()
    assert "Mean absolute error" in page
    assert read_run(tmp_path / "run").objectives == {"mae": "minimize", "parameters": "minimize"}


def test_several_labels_are_searched_and_stopped_early_by_their_own_measure(
    tmp_path: Path,
) -> None:
    labels = (_inputs().flatten(1)[:, :3] > 0).long()
    study = _study(
        labels,
        task="multi-label",
        objectives={"mAP": "maximize", "macs": "minimize"},
    )
    study["trials"]["sparse"]["epochs"] = 4
    study["search"] |= {"stop_early": {"first": 1, "eta": 2}, "trials": 4}
    run = Study(study, tmp_path / "run")
    run.run()
    assert len(run.trials) == 4
    for trial in run.trials:
        assert not trial.failed, trial.error
        assert 0 < trial.metrics["mAP"] <= 1
        assert all(set(rung.values) == {"mAP", "macs"} for rung in trial.rungs)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"objectives": {"accuracy": "maximize"}},
            "this task is judged by mse",
        ),
        (
            {"objectives": {"mAP": "maximize"}},
            "judged by mse, mae, r2; name one",
        ),
        ({"objectives": {"mae": "maximize"}}, "objectives.mae: maximize; better is to minimize"),
        (
            {"objectives": {"mae": "minimize", "ece": "minimize"}},
            "ece is for labels one an",
        ),
        ({"loss": "focal"}, "loss = .focal.: goes with classes"),
        ({"class_weights": "balanced"}, "class_weights = .balanced.: goes with"),
        ({"gamma": 2.0}, "gamma = 2.0: goes with loss: focal"),
        ({"task": "regresion"}, "task: unknown 'regresion'; valid: regression, multi"),
    ],
)
def test_what_a_regression_has_no_use_for_is_refused_before_anything_trains(
    keys: dict[str, Any], message: str, tmp_path: Path
) -> None:
    study = {"task": "regression", "objectives": {"mse": "minimize"}, **keys}
    with pytest.raises(UsageError, match=message):
        Study(_study(_numbers(), **study), tmp_path / "run").run()
    assert not (tmp_path / "run" / "trials").exists()


def test_a_recipe_with_label_smoothing_is_refused_for_numbers(tmp_path: Path) -> None:
    study = _study(_numbers(), task="regression", objectives={"mse": "minimize"})
    study["trials"]["sparse"]["recipe"] = ["default", "sparse-ift-imagenet"]
    with pytest.raises(UsageError, match=r"trials\.sparse\.recipe: sparse-ift-imagenet smooths"):
        Study(study, tmp_path / "run").run()


def test_a_focal_study_of_unlike_classes_trains_with_its_loss(tmp_path: Path) -> None:
    labels = (_inputs().flatten(1).sum(dim=1) > 2.0).long()
    losses = {}
    for name, keys in {"plain": {}, "focal": {"loss": "focal", "class_weights": [1, 5]}}.items():
        study = _study(labels, objectives={"accuracy": "maximize"}, **keys)
        study["search"] |= {"trials": 1}
        del study["trials"]["growth"]
        run = Study(study, tmp_path / name)
        run.run()
        history = tmp_path / name / "trials" / run.trials[0].id / "history.csv"
        losses[name] = float(history.read_text().splitlines()[1].split(",")[1])
        resolved = (tmp_path / name / "study.yaml").read_text()
        assert ("loss: focal" in resolved) == (name == "focal")
    assert losses["focal"] < losses["plain"]
