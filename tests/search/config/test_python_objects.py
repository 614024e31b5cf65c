"""Own networks and data, by object and by name, searched, resumed and changed in between."""

import importlib
import json
import sys

import pytest
import torch
import yaml

from growsearch import Study, from_tensors
from growsearch.errors import UsageError
from growsearch.export import read_weights

SOURCE = """
import torch
from torch import nn
from growsearch import from_tensors

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(torch.relu(self.norm(self.inner(x))))

class Chooser(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 8), nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(self.inner(x).softmax(dim=-1))

class Painter(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, num_classes, 1)
    def forward(self, x):
        return self.head(torch.relu(self.norm(self.inner(x)))).permute(0, 2, 3, 1)

def pixels():
    labels = torch.randint(0, 2, (60, 6, 6), generator=torch.Generator().manual_seed(0))
    return 2.0 * labels[:, None] - 1, labels

def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(120, 4, generator=generator), torch.arange(120) % 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A module of its own name a test, so that nothing stays imported from another one."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"own_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


def study(space, dataset, kind="growth", **more):
    growth = {"space": space, "budget": {"parameters": 0.5}, "epochs": 2}
    sparse = {"space": space, "transform": "none", "sparsity": {"low": 0.5, "high": 0.8}}
    return {
        "name": "own",
        "dataset": dataset,
        "trials": {kind: growth if kind == "growth" else {**sparse, "epochs": 1}},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 1, "backend": "serial"},
        **more,
    }


def test_objects_are_searched_resumed_and_exported_again(module, tmp_path, run_folder):
    run = Study(study(module.Net, module.data), run_folder)
    front = run.run()
    (trial,) = run.trials
    assert trial.status == "finished", trial.error
    assert trial.network["space"].startswith(f"{module.__name__}:Net@")
    assert len(front) == 1
    again = Study(study(module.Net, module.data), run_folder)
    again.run()
    assert again.resumed_trials == 1
    done = again.export(trial.id[:6], tmp_path / "out")
    assert done.max_difference < 1e-5
    loaded = again.load(again.front.members[0])
    state = read_weights(done.weights)
    assert all(torch.equal(state[name], value) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("kind", ["growth", "sparse"])
def test_an_own_network_may_give_a_class_a_pixel(kind, module, run_folder):
    config = study(module.Painter, module.pixels, kind)
    config["objectives"] = {"mean_iou": "maximize", "macs": "minimize"}
    run = Study(config, run_folder)
    run.run()
    (trial,) = run.trials
    assert trial.status == "finished", trial.error
    assert 0 <= trial.metrics["mean_iou"] <= 1


def test_an_own_network_for_other_labels_is_refused_before_it_trains(module, run_folder):
    with pytest.raises(UsageError, match=r"Painter@.* does not take inputs"):
        Study(study(module.Painter, module.data), run_folder).run()
    with pytest.raises(UsageError, match="Net@"):
        Study(study(module.Net, module.pixels), run_folder).run()


def test_a_study_file_finds_the_module_beside_it(module, tmp_path, run_folder):
    name = module.__name__
    sys.modules.pop(name)
    sys.path[:] = [path for path in sys.path if path != str(tmp_path)]
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study(f"{name}:Net", f"{name}:data", kind="sparse")))
    run = Study(file, run_folder)
    run.run()
    assert run.trials[0].status == "finished"
    kept = yaml.safe_load((run_folder / "study.yaml").read_text())
    assert kept["code_dir"] == str(tmp_path)
    assert kept["dataset"].startswith(f"{name}:data@")


def test_changed_code_does_not_resume_another_codes_run(module, tmp_path, run_folder):
    Study(study(module.Net, module.data), run_folder).run()
    file = tmp_path / f"{module.__name__}.py"
    file.write_text(SOURCE.replace("torch.relu", "torch.tanh"))
    importlib.invalidate_caches()
    sys.modules.pop(module.__name__)
    changed = importlib.import_module(module.__name__)
    with pytest.raises(UsageError, match="its code is not what it was"):
        Study(study(changed.Net, changed.data), run_folder).run()


def test_data_in_memory_is_kept_with_the_run_and_other_data_does_not_resume_it(module, run_folder):
    inputs, labels = module.data()
    Study(study(module.Net, (inputs, labels), kind="sparse"), run_folder).run()
    assert (run_folder / "data" / "data.safetensors").exists()
    again = Study(study(module.Net, from_tensors(inputs, labels), kind="sparse"), run_folder)
    again.run()
    assert again.resumed_trials == 1
    other = Study(study(module.Net, (inputs + 1, labels), kind="sparse"), run_folder)
    with pytest.raises(UsageError, match="dataset was 'arrays@"):
        other.run()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": torch.nn.Linear(4, 3)}, "trials.growth.space: .*give the class"),
        ({"dataset": 3}, "dataset: dataset is a int; give growsearch.Dataset"),
        ({"space": lambda: None}, "trials.growth.space: .*top level"),
    ],
)
def test_objects_that_nobody_could_import_are_refused_by_key(module, change, message):
    with pytest.raises(UsageError, match=message):
        Study(study(change.get("space", module.Net), change.get("dataset", module.data)))


def test_a_network_that_cannot_grow_is_refused_before_anything_is_trained(module, run_folder):
    with pytest.raises(UsageError, match=r"trials.growth.space: .*'inner': without some"):
        Study(study(module.Chooser, module.data), run_folder).run()
    assert not run_folder.exists()


def test_an_unknown_module_names_key_and_remedy(tmp_path):
    with pytest.raises(UsageError, match=r"trials.growth.space = .*put no_module_here.py beside"):
        Study(study("no_module_here:Net", "digits"))


def test_a_job_takes_own_modules_along(module, tmp_path):
    from growsearch.search.cluster.job import write_job_folder

    config = study(f"{module.__name__}:Net", "digits", code_dir=str(tmp_path))
    target = tmp_path / "job"
    target.mkdir()
    write_job_folder(Study(config).config, target)
    assert (target / f"{module.__name__}.py").read_text() == SOURCE
    assert yaml.safe_load((target / "study.yaml").read_text())["code_dir"] == "."


def test_the_ledger_holds_the_hash(module, run_folder):
    Study(study(module.Net, module.data, kind="sparse"), run_folder).run()
    line = json.loads((run_folder / "trials.jsonl").read_text())
    assert "@" in line["config"]["space"]
