"""Own networks of a study: what is refused before it trains, what fails one trial, what is said."""

import importlib
import sys

import pytest
import torch
from typer.testing import CliRunner

from growsearch import Study, from_tensors
from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.export import load_network
from growsearch.kinds.checking.own_networks import check_own_network

SOURCE = """
import torch
from torch import nn
from torch.nn.utils import parametrizations

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.middle, self.head = nn.Linear(8, 8), nn.Linear(8, num_classes)
        self.change()
    def change(self):
        pass
    def forward(self, x):
        return self.head(torch.relu(self.middle(torch.relu(self.norm(self.inner(x))))))

class Unused(Net):
    def change(self):
        self.aux = nn.Linear(8, 3)

class Frozen(Net):
    def change(self):
        nn.init.constant_(self.middle.weight, 0.5)
        self.middle.requires_grad_(False)

class Normed(Net):
    def change(self):
        parametrizations.spectral_norm(self.middle)

class Tied(Net):
    def change(self):
        del self.head
        self.again, self.free = nn.Linear(8, 8), nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)
        self.again.weight = self.middle.weight
        self.norm_again = self.norm
    def forward(self, x):
        x = torch.relu(self.norm_again(self.norm(self.inner(x))))
        x = torch.relu(self.again(torch.relu(self.middle(x))))
        return self.head(torch.relu(self.free(x)))

class Branching(Net):
    def forward(self, x):
        out = super().forward(x)
        return out / 100 if out.mean() > 100 else out

class Growing(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        out = self.head(torch.relu(self.norm(self.inner(x))))
        return out / 100 if out.mean() > 100 else out

class Rewriting(Net):
    def forward(self, x):
        with torch.no_grad():
            self.middle.weight += 1e-6
        return super().forward(x)
"""


def data():
    generator = torch.Generator().manual_seed(0)
    return from_tensors(torch.randn(90, 4, generator=generator), torch.arange(90) % 3)


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    (folder / "own_networks_code.py").write_text(SOURCE)
    sys.path.append(str(folder))
    yield importlib.import_module("own_networks_code")
    sys.path.remove(str(folder))
    sys.modules.pop("own_networks_code", None)


def study(name, run_folder, trials=4, **sparse):
    choices = {"transform": "none", "sparsity": {"low": 0.4, "high": 0.6}, "epochs": 1, **sparse}
    return Study(
        {
            "name": "own",
            "dataset": data(),
            "trials": {"sparse": {"space": f"own_networks_code:{name}", **choices}},
            "objectives": {"accuracy": "maximize", "macs": "minimize"},
            "search": {"trials": trials, "backend": "serial", "sampler": "random", "seed": 0},
        },
        run_folder,
    )


def test_a_layer_that_the_loss_does_not_reach_fails_its_trials_and_not_the_search(run_folder):
    choices = {"updater": ["static", "rigl"], "epochs": 12}
    run = study("Unused", run_folder, **choices)
    run.run()
    by_updater = {trial.config["updater"]: trial for trial in run.trials}
    assert len(run.trials) == 4
    assert by_updater["static"].status == "finished"
    assert by_updater["rigl"].status == "failed"
    assert "does not reach aux.weight" in by_updater["rigl"].error
    (note,) = [note for note in run.notes if "aux.weight" in note]
    assert note.startswith("trials.sparse.space: own_networks_code:Unused: the loss does not reach")
    again = study("Unused", run_folder, **choices)
    again.run()
    assert again.resumed_trials == 4


@pytest.mark.parametrize("updater", ["static", "rigl", "granet"])
def test_a_frozen_layer_keeps_its_values_and_the_others_are_masked(updater, run_folder):
    run = study("Frozen", run_folder, trials=1, updater=updater, epochs=12)
    run.run()
    (trial,) = run.trials
    assert trial.status == "finished", trial.error
    model = load_network(run_folder / "trials" / trial.id)
    assert bool((model.middle.weight == 0.5).all())
    zeros = sum(int((layer.weight == 0).sum()) for layer in (model.inner, model.head))
    assert zeros == round(trial.config["sparsity"] * (32 + 24))


def test_a_reparametrised_network_is_refused_before_it_trains(run_folder):
    message = r"trials\.sparse\.space: Normed: middle\.weight is re-parametrised by SpectralNorm"
    with pytest.raises(UsageError, match=message):
        study("Normed", run_folder).run()
    assert not (run_folder / "trials.jsonl").exists()


@pytest.mark.parametrize("transform", ["none", "sparse_parallel"])
def test_shared_weights_are_trained_saved_and_shared_again(transform, run_folder):
    run = study("Tied", run_folder, trials=1, transform=transform, sparsity=0.5)
    run.run()
    (trial,) = run.trials
    assert trial.status == "finished", trial.error
    model = load_network(run_folder / "trials" / trial.id)
    assert model.again.weight is model.middle.weight
    assert model.norm_again is model.norm
    if transform == "none":
        assert trial.metrics["dense_parameters"] == 40 + 16 + 72 + 8 + 54 + 21
        assert trial.metrics["dense_macs"] == 32 + 64 + 64 + 48 + 18
        layers = (model.inner, model.middle, model.free, model.head)
        assert sum(int((x.weight == 0).sum()) for x in layers) == (32 + 64 + 48 + 18) // 2
    else:
        # A layer that shares its weight is not torn from the other: it stays as it is.
        assert not isinstance(model.free, torch.nn.Linear)
        assert trial.metrics["macs"] == pytest.approx(32 + 64 + 64 + 48 + 18, abs=1)


def test_a_network_that_torch_cannot_export_is_told_of_before_it_trains(run_folder):
    heard = []
    run = study("Branching", run_folder, trials=1)
    run.run(_options(lambda _: heard.append(run.notes)))
    (note,) = heard[0]
    assert note.startswith("trials.sparse.space: own_networks_code:Branching: torch.export cannot")
    assert note.endswith("weights, architecture and load.py, but no program.pt2")


def _options(hear):
    from contextlib import nullcontext

    from growsearch.search.study.study import StudyOptions

    def around(recorder):
        hear(recorder)
        return nullcontext()

    return StudyOptions(around=around)


def test_a_network_that_writes_to_its_weights_is_refused_before_anything_trains(run_folder):
    run = study("Rewriting", run_folder, trials=2)
    with pytest.raises(UsageError, match=r"Rewriting.*middle"):
        run.run()
    assert not run.trials


def test_a_plain_network_has_no_notes(module):
    assert check_own_network(module.Net(3), data(), masked=True, updaters=("rigl",)) == ()


def test_growing_one_network_says_and_refuses_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "growing_data_code.py").write_text(
        "import torch\n"
        "def data():\n"
        "    g = torch.Generator().manual_seed(0)\n"
        "    return torch.randn(60, 4, generator=g), torch.arange(60) % 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["--data", "growing_data_code:data", "--budget", "parameters=70%", "--epochs", "2"]
    arguments += ["--out", "grown", "--threads", "1"]
    run = CliRunner()
    done = run.invoke(app, ["grow", "--space", "own_networks_code:Growing", *arguments])
    assert done.exit_code == 0, done.output
    before = done.output[: done.output.index("accuracy")]
    assert "own_networks_code:Growing: torch.export cannot follow the network" in before
    assert "no program.pt2: torch.export cannot follow the network" in done.output
    assert "growsearch.export.load_network(" in done.output
    refused = run.invoke(app, ["grow", "--space", "own_networks_code:Normed", *arguments])
    assert isinstance(refused.exception, UsageError)
    assert "middle.weight is re-parametrised by SpectralNorm" in str(refused.exception)
