"""Trials of every kind begin with weights that were trained before, and are known by them."""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from growsearch import Study
from growsearch.cli import app
from growsearch.datasets import load_dataset, subset
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, build_full, grow
from growsearch.kinds.recipe_choice import recipe_values
from growsearch.search.config.file import parse_study
from growsearch.search.study.baselines import baseline_candidates
from growsearch.training import InitialWeights, Recipe
from search_spaces import search_space

# So little is learned that weights stay as they were.
STILL = {"learning_rate": 1e-9, "weight_decay": 0.0, "momentum": 0.0}
KINDS = {
    "growth": {"budget": {"parameters": "100%"}, "epochs": 2, "policy": "random-order"},
    "sparse": {"transform": "none", "sparsity": 0.5, "epochs": 1},
    "tickets": {
        "source": "digits",
        "scheme": "omp",
        "sparsity": 0.5,
        "pretrain_epochs": 1,
        "epochs": 1,
    },
}


def _full(seed: int = 7) -> nn.Module:
    return build_full(search_space("mlp-digits"), seed)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(_full().state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def _study(kind: str, init: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "init",
        "dataset": "digits",
        "subset": 256,
        "trials": {kind: {"space": "mlp-digits", "init": init, **STILL, **KINDS[kind], **more}},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 1, "seed": 1, "backend": "serial", "sampler": "random"},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_of_every_kind_begins_with_the_weights(
    kind: str, weights: Path, tmp_path: Path
) -> None:
    study = Study(_study(kind, str(weights)), tmp_path / "run")
    study.run()
    (trial,) = study.trials
    assert trial.finished, trial.error
    assert trial.config["init"].startswith("weights@")
    wanted, found = _full().state_dict(), study.load(trial.id).state_dict()
    for name, value in found.items():
        if name.endswith("linear.weight"):
            kept = value != 0
            assert kept.float().mean() > 0.2
            assert torch.allclose(value[kept], wanted[name][kept], atol=1e-5), name


def test_a_grown_channel_returns_to_its_trained_weights_on_either_side() -> None:
    data = subset(load_dataset("digits"), train=128, validation=64, test=64)
    space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
    trained = build_full(space, 7)
    recipe = Recipe(epochs=4, learning_rate=1e-9, weight_decay=0.0)
    config = GrowthConfig(
        recipe=recipe, policy="random-order", norms="kept", init=InitialWeights.of(trained)
    )
    grown = grow(space, data, budget=Budget(parameters=0.5), config=config)
    first = grown.history[0].live
    assert 1 < len(first["hidden1"]) < 256
    live = [torch.tensor(grown.history[-1].live[f"hidden{i}"]) for i in (0, 1)]
    wanted = trained.hidden[1].linear.weight[live[1]][:, live[0]]
    assert torch.allclose(grown.model.hidden[1].linear.weight, wanted, atol=1e-5)
    norms = trained.hidden[1].linear.weight.norm(dim=1) ** 2
    assert norms[live[1]].mean() > norms.mean()


def test_other_weights_are_another_candidate_and_another_place_is_the_same(
    weights: Path, tmp_path: Path
) -> None:
    torch.save(_full(8).state_dict(), tmp_path / "other.pth")
    (tmp_path / "moved.pth").write_bytes(weights.read_bytes())
    ids = []
    for name in ("net.pth", "other.pth"):
        study = Study(_study("sparse", tmp_path / name), tmp_path / name.removesuffix(".pth"))
        study.run()
        ids.append(study.trials[0].id)
    assert len(set(ids)) == 2
    weights.unlink()
    again = Study(_study("sparse", tmp_path / "moved.pth"), tmp_path / "net")
    again.run()
    assert [trial.id for trial in again.trials] == ids[:1]
    with pytest.raises(UsageError, match="init"):
        Study(_study("sparse", tmp_path / "other.pth"), tmp_path / "net").run()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_another_network_are_refused_before_anything_trains(
    kind: str, tmp_path: Path
) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "net.pth")
    study = Study(_study(kind, str(tmp_path / "net.pth")), tmp_path / "run")
    wanted = rf"trials\.{kind}\.init: these weights are not of mlp-digits: missing hidden\.0"
    with pytest.raises(UsageError, match=wanted):
        study.run()
    assert not (tmp_path / "run" / "trials").exists()


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ("nowhere.pth", r"init = .*: cannot read .*nowhere\.pth"),
        ("net", r"init = 'net': 'net' is none; write a file"),
        ("weights@0123456789ab", "stands for a file's content"),
        ("own", "own weights come with own networks alone"),
        ("no_such_module:load", "no module no_such_module"),
        (["a.pth", "b.pth"], "is none; write a file"),
    ],
)
def test_what_is_no_init_is_refused(init: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        Study(_study("sparse", init), tmp_path / "run")


def test_direct_design_draws_weights_and_goes_without_init(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trains from fresh weights"):
        Study(_study("growth", str(weights), direct_design=True), tmp_path / "run")


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "init_own_code"
    (tmp_path / f"{name}.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch import nn

            class Net(nn.Module):
                def __init__(self, width=8):
                    super().__init__()
                    self.layers = nn.Sequential(
                        nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(),
                        nn.Linear(width, 10),
                    )

                def forward(self, x):
                    return self.layers(x)

            def trained():
                net = Net()
                torch.nn.init.constant_(net.layers[1].weight, 0.25)
                torch.nn.init.zeros_(net.layers[1].bias)
                torch.nn.init.constant_(net.layers[4].weight, 0.5)
                torch.nn.init.zeros_(net.layers[4].bias)
                return net

            def load():
                return trained()
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def test_an_own_network_keeps_the_weights_that_it_comes_with(own_code: str, tmp_path: Path) -> None:
    space = {"space": f"{own_code}:trained"}
    study = Study(_study("growth", "own", **space), tmp_path / "run")
    study.run()
    (trial,) = study.trials
    assert trial.finished, trial.error
    assert trial.config["init"] == "own"
    found = study.load(trial.id).state_dict()
    assert torch.allclose(found["layers.1.weight"], torch.full((8, 64), 0.25), atol=1e-5)
    assert torch.allclose(found["layers.4.weight"], torch.full((10, 8), 0.5), atol=1e-5)


def test_a_network_that_draws_its_weights_has_none_of_its_own(
    own_code: str, tmp_path: Path
) -> None:
    study = Study(_study("sparse", "own", space=f"{own_code}:Net"), tmp_path / "run")
    with pytest.raises(UsageError, match=r"Net comes without trained weights: layers\.1\.weight"):
        study.run()


def test_a_function_of_one_s_own_returns_the_weights(own_code: str, tmp_path: Path) -> None:
    space = {"space": f"{own_code}:Net"}
    study = Study(_study("sparse", f"{own_code}:load", **space), tmp_path / "run")
    study.run()
    (trial,) = study.trials
    assert trial.finished, trial.error
    assert trial.config["init"].startswith(f"{own_code}:load@")
    values = study.load(trial.id).state_dict()["layers.4.weight"]
    assert torch.allclose(values[values != 0], torch.tensor(0.5), atol=1e-5)


def test_a_file_is_meant_from_the_study_s_own_place(weights: Path, tmp_path: Path) -> None:
    place = tmp_path / "studies"
    place.mkdir()
    (place / "net.pth").write_bytes(weights.read_bytes())
    data = _study("sparse", "net.pth")
    (place / "study.yaml").write_text(json.dumps(data))
    study = Study(place / "study.yaml", tmp_path / "run")
    assert study.config.trials["sparse"].init_file == place / "net.pth"


def test_grow_begins_with_weights_and_says_so(weights: Path, tmp_path: Path) -> None:
    arguments = ["grow", "--space", "mlp-digits", "--data", "digits", "--subset", "128"]
    arguments += ["--budget", "macs=50%", "--epochs", "2", "--init", str(weights)]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    line = (tmp_path / "run" / "trials.jsonl").read_text()
    assert '"init":"weights@' in line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipe", [None, ["sparse-ift-cifar", "default"]])
def test_trained_weights_go_on_at_a_tenth_of_the_rate(
    kind: str, recipe: list[str] | None, weights: Path
) -> None:
    data = _study(kind, str(weights))
    data["baselines"] = ["dense"]
    data["trials"][kind].pop("learning_rate", None)
    if recipe is not None:
        data["trials"][kind]["recipe"] = recipe
    config = parse_study(data)
    name = "default" if recipe is None else recipe[0]
    (dense,) = baseline_candidates(config)
    assert dense.training.learning_rate == pytest.approx(0.1 * recipe_values(name)[1])
    data["trials"][kind]["learning_rate"] = 0.05
    (dense,) = baseline_candidates(parse_study(data))
    assert dense.training.learning_rate == 0.05
