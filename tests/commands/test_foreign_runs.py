"""A run folder from elsewhere is read, and nothing in it is executed."""

import json
import os
import shutil
import sys

import pytest
import yaml
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.search.study.study import Study
from growsearch.trial.ledger_file import read_ledger
from search_spaces.user_code import _FINGERPRINTS, fingerprint

STUDY = {
    "name": "foreign",
    "dataset": "digits",
    "trials": {
        "sparse": {"space": "mlp-digits", "transform": "none", "sparsity": 0.5, "epochs": 1}
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 1, "backend": "serial"},
}
COMMANDS = [
    ("report", "RUN", "--format", "html", "--format", "optuna"),
    ("select", "RUN"),
    ("evaluate", "RUN", "ID"),
    ("compare", "RUN", "RUN"),
    ("search", "STUDY", "--out", "RUN"),
    ("search", "RUN/study.yaml", "--out", "RUN"),
    ("predict", "RUN", "photo.png"),
]
# Code that comes with Python, a module beside the run, and one that a hash was made up for.
NAMES = ["foreign_module:Net@0123456789ab", "this:s", "os:abort@0123456789ab"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    Study(STUDY, folder).run()
    return folder


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A finished run, a module beside it that leaves a mark, and a study to resume it with."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    mark = tmp_path / "executed"
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    (folder / "foreign_module.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        f"def Net(): open({str(mark)!r}, 'w').close()\n"
        f"data = Net\n"
    )
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY))
    yield folder, mark
    for name in ("foreign_module", "this"):
        sys.modules.pop(name, None)


def _study(folder, change):
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["code_dir"] = str(folder)
    change(study)
    (folder / "study.yaml").write_text(yaml.safe_dump(study))


def _lines(path, change):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def _dataset(folder, name):
    _study(folder, lambda study: study.update(dataset=name))


def _space(folder, name):
    _study(folder, lambda study: study["trials"]["sparse"].update(space=name))


def _transform(folder, name):
    _study(folder, lambda study: study["trials"]["sparse"].update(transform=["none", name]))


def _task(folder, name):
    _study(folder, lambda study: study.update(task=name))


def _callbacks(folder, name):
    _study(folder, lambda study: study.update(callbacks=[name]))


def _optimizer(folder, name):
    _study(folder, lambda study: study["trials"]["sparse"].update(optimizer=["sgd", name]))


def _recipe(folder, name):
    def change(study):
        sparse = study["trials"]["sparse"]
        study["trials"]["sparse"] = {
            key: sparse[key] for key in ("space", "transform", "sparsity", "epochs")
        } | {"recipe": {"optimizer": name}}

    _study(folder, change)


def _ledger_optimizer(folder, name):
    _lines(folder / "trials.jsonl", lambda line: line["config"].update(optimizer=name))


def _ledger_space(folder, name):
    def change(line):
        line["config"]["space"] = line["network"]["space"] = name

    _lines(folder / "trials.jsonl", change)


def _ledger_transform(folder, name):
    def change(line):
        line["config"]["transform"] = name
        line["network"]["transform"] = {"name": name, "sparsity": 0.5, "activation": True}

    _lines(folder / "trials.jsonl", change)


def _started(folder, name):
    _lines(
        folder / "started.jsonl", lambda line: line["candidate"].update(space=name, transform=name)
    )


def _architecture(folder, name):
    (file,) = folder.glob("trials/*/architecture.json")
    network = json.loads(file.read_text())
    file.write_text(json.dumps({**network, "space": name}))


def _architecture_transform(folder, name):
    (file,) = folder.glob("trials/*/architecture.json")
    network = json.loads(file.read_text())
    transform = {"name": name, "sparsity": 0.5, "activation": True}
    file.write_text(json.dumps({**network, "transform": transform}))


PLACES = [
    _dataset,
    _space,
    _transform,
    _task,
    _callbacks,
    _optimizer,
    _recipe,
    _ledger_optimizer,
    _ledger_space,
    _ledger_transform,
    _started,
    _architecture,
    _architecture_transform,
]


def _invoke(command, folder):
    (trial,) = read_ledger(folder / "trials.jsonl").trials
    names = {"RUN": str(folder), "ID": trial.id, "STUDY": str(folder.parent / "study.yaml")}
    words = [names.get(word, word.replace("RUN", str(folder))) for word in command]
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", PLACES)
def test_no_command_imports_code_that_a_run_folder_names(place, command, run):
    folder, mark = run
    before = set(sys.modules)
    for name in NAMES:
        place(folder, name)
        done = _invoke(command, folder)
        assert not mark.exists(), (name, done.output)
        assert not {"foreign_module", "this"} & (set(sys.modules) - before), (name, done.output)


OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 8), nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(torch.relu(self.inner(x)))

def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(90, 4, generator=generator), torch.arange(90) % 3
"""


@pytest.fixture
def own_run(tmp_path, monkeypatch):
    """A run of own code in a folder of its own, as it is found later: nothing is imported yet."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    code = tmp_path / "code"
    code.mkdir()
    (code / "foreign_own.py").write_text(OWN)
    settings = json.loads(json.dumps(STUDY)) | {"dataset": "foreign_own:data"}
    settings["trials"]["sparse"]["space"] = "foreign_own:Net"
    study = Study(settings | {"code_dir": str(code)}, tmp_path / "run")
    study.run()
    (trial,) = study.trials
    assert trial.finished, trial.error
    _forget()
    yield tmp_path / "run", code, trial.id
    _forget()


def _forget():
    sys.modules.pop("foreign_own", None)
    for name in [name for name in _FINGERPRINTS if name.startswith("foreign_own:")]:
        del _FINGERPRINTS[name]
    sys.path[:] = [path for path in sys.path if not path.endswith("code")]


@pytest.mark.parametrize("command", [("select", "RUN"), ("evaluate", "RUN", "ID")], ids=" ".join)
def test_a_runs_own_code_is_found_with_its_folder_and_refused_without(command, own_run, tmp_path):
    folder, code, _ = own_run
    refused = _invoke(command, folder)
    assert refused.exit_code != 0
    assert "give its folder with --code" in str(refused.exception)
    assert "foreign_own" not in sys.modules
    (tmp_path / "empty").mkdir()
    elsewhere = _invoke((*command, "--code", str(tmp_path / "empty")), folder)
    assert "names code that is not in" in str(elsewhere.exception)
    done = _invoke((*command, "--code", str(code)), folder)
    assert done.exit_code == 0, done.output
    assert sys.modules["foreign_own"].__file__ == str(code / "foreign_own.py")


@pytest.mark.parametrize("command", [("select", "RUN"), ("evaluate", "RUN", "ID")], ids=" ".join)
def test_code_that_is_not_what_the_run_was_made_with_is_refused(command, own_run):
    folder, code, _ = own_run
    (code / "foreign_own.py").write_text(OWN.replace("torch.relu", "torch.tanh"))
    done = _invoke((*command, "--code", str(code)), folder)
    assert done.exit_code != 0
    assert "its code is not what it was" in str(done.exception)


def test_a_function_of_data_that_the_run_was_not_made_with_is_not_called(own_run, tmp_path):
    folder, code, _ = own_run
    mark = tmp_path / "wiped"
    (code / "foreign_own.py").write_text(f"{OWN}\ndef wipe():\n    open({str(mark)!r}, 'w')\n")
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["dataset"] = study["dataset"].replace(":data@", ":wipe@")
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    done = _invoke(("evaluate", "RUN", "ID", "--code", str(code)), folder)
    assert "its code is not what it was" in str(done.exception)
    assert not mark.exists()


def test_an_export_of_own_code_is_loaded_with_its_folder(own_run):
    from growsearch.errors import UsageError
    from growsearch.export import load_network

    folder, code, name = own_run
    assert _invoke(("select", "RUN", "--code", str(code)), folder).exit_code == 0
    export = folder / "export" / name
    assert load_network(export, code).training is False
    stranger = json.loads((export / "architecture.json").read_text())
    stranger["space"] = f"os:abort@{fingerprint(os.abort)}"
    (export / "architecture.json").write_text(json.dumps(stranger))
    with pytest.raises(UsageError, match="not in"):
        load_network(export, code)
    with pytest.raises(UsageError, match="nobody here has named it"):
        load_network(export)


def test_a_runs_study_that_names_code_is_no_study_to_search_before_it_was_read(own_run):
    folder, _, _ = own_run
    done = _invoke(("search", "RUN/study.yaml", "--out", "RUN"), folder)
    assert "read that code, and give a copy without the key provenance" in str(done.exception)
    assert "foreign_own" not in sys.modules


LEARNED = """
import torch
from torch.nn import functional as F

from growsearch.training import Hook

class Errors:
    metrics = {"errors": "minimize", "unsure": "minimize"}
    def loss(self, outputs, targets):
        return F.cross_entropy(outputs, targets)
    def scores(self, outputs, targets):
        wrong = (outputs.argmax(dim=1) != targets).float().mean()
        return {"errors": wrong, "unsure": F.cross_entropy(outputs, targets)}

class Slow(torch.optim.SGD):
    pass

class Nothing(Hook):
    def state(self):
        return {}
"""


@pytest.fixture
def learned_run(tmp_path, monkeypatch):
    """A run whose task, callback and optimizer are own code, which is not imported any more."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    code = tmp_path / "code"
    code.mkdir()
    (code / "foreign_own.py").write_text(LEARNED)
    settings = json.loads(json.dumps(STUDY)) | {
        "task": "foreign_own:Errors",
        "callbacks": ["foreign_own:Nothing"],
        "objectives": {"errors": "minimize", "macs": "minimize"},
        "constraints": {"unsure": {"max": 1000}},
    }
    settings["trials"]["sparse"]["optimizer"] = "foreign_own:Slow"
    study = Study(settings | {"code_dir": str(code)}, tmp_path / "run")
    study.run()
    (trial,) = study.trials
    assert trial.finished, trial.error
    _forget()
    yield tmp_path / "run", code, trial.id
    _forget()


def test_a_run_with_an_own_task_is_reported_and_selected_from_without_its_code(learned_run):
    folder, _, _ = learned_run
    for command in COMMANDS[:2]:
        done = _invoke(command, folder)
        assert done.exit_code == 0, (command, done.output, done.exception)
        assert "foreign_own" not in sys.modules
    assert "errors" in (folder / "optuna.log").read_text()


def test_an_own_task_of_a_run_judges_with_its_folder_alone(learned_run):
    folder, code, name = learned_run
    refused = _invoke(("evaluate", "RUN", "ID"), folder)
    assert "task: " in str(refused.exception)
    assert "give its folder with --code" in str(refused.exception)
    assert "foreign_own" not in sys.modules
    done = _invoke(("evaluate", "RUN", "ID", "--code", str(code)), folder)
    assert done.exit_code == 0, (done.output, done.exception)
    kept = json.loads((folder / "trials" / name / "evaluation.json").read_text())
    assert set(kept["metrics"]) == {"errors", "unsure"}


def test_an_own_task_that_is_not_what_the_run_was_made_with_is_refused(learned_run):
    folder, code, _ = learned_run
    (code / "foreign_own.py").write_text(LEARNED.replace("!= targets", "== targets"))
    done = _invoke(("evaluate", "RUN", "ID", "--code", str(code)), folder)
    assert "task: " in str(done.exception)
    assert "its code is not what it was" in str(done.exception)
