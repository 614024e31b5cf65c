"""Own tasks in studies: a person's loss and metrics by name, teachers and several heads."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from growsearch.commands.evaluate import Asked, evaluation
from growsearch.datasets import from_tensors
from growsearch.errors import UsageError
from growsearch.report.evaluations import read_evaluation
from growsearch.search.study.study import Study
from growsearch.training import Classification, Recipe, train
from search_spaces.code_origin import CodeOfRun

_TASKS = '''
import torch
from torch import nn
from torch.nn import functional as F


class Absolute:
    """Numbers, learned by their absolute error."""

    metrics = {"mae": "minimize", "worst": "minimize"}

    def loss(self, outputs, targets):
        return F.l1_loss(outputs[:, 0], targets)

    def scores(self, outputs, targets):
        errors = (outputs[:, 0] - targets).abs()
        return {"mae": errors.mean(), "worst": errors.max()}


class Distilled:
    """Classes, learned from labels and from a teacher's logits (Hinton et al. 2015)."""

    metrics = {"accuracy": "maximize", "agreement": "maximize"}
    made = 0

    def __init__(self, dataset):
        Distilled.made += 1
        self.teacher = nn.Sequential(nn.Flatten(), nn.Linear(4, dataset.num_classes))
        with torch.no_grad():
            self.teacher[1].weight.copy_(4 * torch.eye(4))
        self.teacher.eval()

    def loss(self, outputs, targets, inputs, label_smoothing=0.0):
        with torch.no_grad():
            wanted = self.teacher(inputs).softmax(dim=1)
        soft = F.cross_entropy(outputs, wanted)
        return soft / 2 + F.cross_entropy(outputs, targets, label_smoothing=label_smoothing) / 2

    def scores(self, outputs, targets, inputs):
        named = outputs.argmax(dim=1)
        with torch.no_grad():
            agreed = named == self.teacher(inputs).argmax(dim=1)
        right = (named == targets).float().mean()
        return {"accuracy": right, "agreement": agreed.float().mean()}


class TwoHeads(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(4, 16), nn.ReLU())
        self.name, self.box = nn.Linear(16, 4), nn.Linear(16, 2)

    def forward(self, inputs):
        found = self.trunk(inputs)
        return torch.cat([self.name(found), self.box(found)], dim=1)


class Torn(TwoHeads):
    def forward(self, inputs):
        return super().forward(inputs).split([4, 2], dim=1)


class Boxes:
    """A class and a place: targets (N, 3) hold the class and two coordinates."""

    metrics = {"named": "maximize", "distance": "minimize"}

    def loss(self, outputs, targets):
        named, box = outputs.split([4, 2], dim=1)
        names = F.cross_entropy(named, targets[:, 0].long())
        return names + F.smooth_l1_loss(box, targets[:, 1:])

    def scores(self, outputs, targets):
        named, box = outputs.split([4, 2], dim=1)
        right = named.argmax(dim=1) == targets[:, 0].long()
        away = (box - targets[:, 1:]).norm(dim=1)
        return {"named": right.float().mean(), "distance": away.mean()}


class Silent:
    def loss(self, outputs, targets):
        return outputs.sum()

    def scores(self, outputs, targets):
        return {}


class Detached(Absolute):
    def loss(self, outputs, targets):
        return (outputs[:, 0] - targets).abs().mean().detach()


class Wrong(Absolute):
    def scores(self, outputs, targets):
        return {"mae": 1.0}


class Costs(Absolute):
    metrics = {"parameters": "minimize"}


class Fails(Absolute):
    def loss(self, outputs, targets):
        return outputs["box"].sum()


def function():
    return Absolute()
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of tasks, imported from the test's folder."""
    (tmp_path / "own_tasks.py").write_text(_TASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_tasks", None)
    importlib.invalidate_caches()
    yield importlib.import_module("own_tasks")
    sys.modules.pop("own_tasks", None)


def _inputs() -> torch.Tensor:
    return torch.randn(160, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def _numbers() -> torch.Tensor:
    return _inputs().flatten(1).sum(dim=1)


def _names() -> torch.Tensor:
    return _inputs().flatten(1).argmax(dim=1)


def _study(labels: torch.Tensor, task: Any, objectives: dict[str, str], **keys: Any) -> Any:
    trials = {
        "growth": {"space": "mlp-digits", "budget": {"parameters": "30%"}, "birth": "gradient"},
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": 0.5,
            "distribution": "snip",
            "updater": "rigl",
        },
    }
    for kind in trials.values():
        kind |= {"epochs": 3, "batch_size": 26, "optimizer": "adamw", "learning_rate": 0.01}
    return {
        "name": "own",
        "dataset": (_inputs(), labels),
        "task": task,
        "trials": trials,
        "objectives": objectives,
        "search": {"trials": 2, "seed": 1, "backend": "serial"},
        **keys,
    }


def test_an_own_tasks_metrics_are_objectives_constraints_and_choices(
    own: Any, tmp_path: Path
) -> None:
    study = Study(
        _study(
            _numbers(),
            own.Absolute,
            {"mae": "minimize", "macs": "minimize"},
            constraints={"worst": {"max": 50}},
            select={"max": {"mae": 20}},
        ),
        tmp_path / "run",
    )
    front = study.run()
    assert all(trial.finished for trial in study.trials), [t.error for t in study.trials]
    assert front.select(study.config.select.bounds()).chosen is not None
    assert str(study.config.task).startswith("own_tasks:Absolute@")
    for trial in study.trials:
        assert {"mae", "worst", "test_mae", "test_worst"} <= set(trial.metrics)
        assert "accuracy" not in trial.metrics
    found = evaluation(
        tmp_path / "run",
        study.trials[0],
        Asked(metrics="all", split="test", data_dir=tmp_path / "run" / "data"),
        CodeOfRun(tmp_path),
    )
    assert found["metrics"]["mae"] == pytest.approx(study.trials[0].metrics["test_mae"])
    kept = read_evaluation(tmp_path / "run" / "trials" / study.trials[0].id)
    assert kept is not None
    assert kept["own"] == ["mae", "worst"]
    export = study.export(front.members[0])
    card = (export.folder / "MODEL_CARD.md").read_text()
    assert "outputs of the task own_tasks:Absolute" in card


def test_a_teacher_is_made_once_and_asked_about_the_inputs_of_every_batch(
    own: Any, tmp_path: Path
) -> None:
    study = _study(
        _names(), "own_tasks:Distilled", {"accuracy": "maximize", "agreement": "maximize"}
    )
    run = Study(study, tmp_path / "run")
    run.run()
    assert all(trial.finished for trial in run.trials), [t.error for t in run.trials]
    assert all(trial.metrics["agreement"] > 0.3 for trial in run.trials)
    # The data set of the checks, and those of trials that load it.
    assert own.Distilled.made <= 6


def test_a_network_may_have_several_heads_where_the_task_reads_them(
    own: Any, tmp_path: Path
) -> None:
    targets = torch.cat([_names().float()[:, None], _inputs().flatten(1)[:, :2]], dim=1)
    study = _study(targets, own.Boxes, {"named": "maximize", "distance": "minimize"})
    study["dataset"] = from_tensors(
        _inputs(), targets, task="own_tasks:Boxes", num_classes=6, name="boxes"
    )
    for kind in study["trials"].values():
        kind["space"] = own.TwoHeads
    run = Study(study, tmp_path / "run")
    front = run.run()
    assert all(trial.finished for trial in run.trials), [t.error for t in run.trials]
    assert run.load(front.members[0])(_inputs()[:3]).shape == (3, 6)
    export = run.export(front.members[0])
    assert export.program is not None
    study["trials"] = {"sparse": study["trials"]["sparse"] | {"space": own.Torn}}
    with pytest.raises(UsageError, match="gives a tuple, and one tensor is wanted"):
        Study(study, tmp_path / "torn").run()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("Silent", "does not say what it is judged by"),
        ("Detached", "does not depend on the network's outputs"),
        ("Wrong", "gave mae; wanted is a number for each of mae, worst"),
        ("Costs", "parameters names something else already"),
        ("Fails", "cannot learn from its outputs"),
        ("function", "give a class with metrics, loss and scores"),
        ("Missing", "own_tasks has no Missing"),
    ],
)
def test_a_task_with_which_no_trial_could_end_is_refused_first(
    own: Any, task: str, message: str, tmp_path: Path
) -> None:
    study = _study(_numbers(), f"own_tasks:{task}", {"mae": "minimize"})
    with pytest.raises(UsageError, match=message):
        Study(study, tmp_path / "run").run()
    assert not (tmp_path / "run" / "trials").exists()


def test_measures_of_class_logits_are_refused_for_own_tasks(own: Any, tmp_path: Path) -> None:
    study = _study(_names(), own.Distilled, {"accuracy": "maximize", "ece": "minimize"})
    with pytest.raises(UsageError, match="ece is for the logits of classes"):
        Study(study, tmp_path / "run").run()


def test_a_changed_task_is_another_study(own: Any, tmp_path: Path) -> None:
    study = _study(_numbers(), "own_tasks:Absolute", {"mae": "minimize"})
    study["search"]["trials"] = 1
    Study(study, tmp_path / "run").run()
    (tmp_path / "own_tasks.py").write_text(_TASKS.replace("F.l1_loss", "2 * F.l1_loss"))
    sys.modules.pop("own_tasks")
    importlib.invalidate_caches()
    with pytest.raises(UsageError, match="its code is not what it was"):
        Study(study, tmp_path / "run").run()


def test_a_plain_task_trains_as_before(own: Any) -> None:
    data = from_tensors(_inputs(), _names())
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4))
    history, _ = train(model, Classification(data), Recipe(epochs=1), seed=0, forward_macs=16)
    assert history[0].metrics == {}
