"""Studies whose data has a class a pixel, or a next word: objectives, choice, export, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.search.study.study import Study

SERIAL = {"backend": "serial", "sampler": "random", "seed": 1}


def _write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Scenes with a bright half on one side, of class 1."""
    folder, random = tmp_path / "scenes", np.random.RandomState(0)
    for part, count in (("train", 12), ("val", 2)):
        for number in range(count):
            mask = np.zeros((64, 64))
            mask[:, 32:] = 1
            mask = mask if random.randint(2) else mask.T
            image = random.randint(0, 60, (64, 64, 3)) + 180 * mask[..., None]
            _write_picture(folder / part / "images" / f"{number}.png", image)
            _write_picture(folder / part / "masks" / f"{number}.png", mask)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder, random = tmp_path / "pictures", np.random.RandomState(0)
    for part, count in (("train", 6), ("val", 1)):
        for label, base in (("bright", 160), ("dark", 0)):
            for number in range(count):
                image = base + random.randint(0, 90, (64, 64, 3))
                _write_picture(folder / part / label / f"{number}.png", image)
    return folder


@pytest.fixture
def text(tmp_path: Path) -> Path:
    words = [f"w{number}" for number in range(20)]
    for part, lines in (("train", 80), ("valid", 30), ("test", 30)):
        path = tmp_path / "words" / "ptb" / f"ptb.{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        sentences = (" ".join(words[(n + k) % 20] for k in range(9)) for n in range(lines))
        path.write_text("".join(f"{line}\n" for line in sentences))
    return tmp_path / "words"


def test_tickets_and_sparse_networks_compete_on_mean_iou_and_the_choice_is_shipped(
    masks: Path, pictures: Path, tmp_path: Path
) -> None:
    study = {
        "name": "scenes",
        "dataset": "mask-folder",
        "data_dir": str(masks),
        "trials": {
            "tickets": {
                "space": "resnet14-bottleneck",
                "target_space": "deeplabv3-resnet14",
                "source": "image-folder",
                "source_dir": str(pictures),
                "scheme": ["omp", "lmp"],
                "sparsity": {"low": 0.7, "high": 0.9},
                "pretrain_epochs": 1,
                "draw_epochs": 1,
                "epochs": 1,
                "batch_size": 6,
            },
            "sparse": {
                "space": "deeplabv3-resnet14",
                "transform": "none",
                "sparsity": {"low": 0.4, "high": 0.6},
                "epochs": 1,
                "batch_size": 6,
            },
        },
        "objectives": {"mean_iou": "maximize", "macs": "minimize"},
        "search": {**SERIAL, "trials": 4},
    }
    run = tmp_path / "run"
    found = Study(study, run)
    front = found.run()
    assert [trial.error for trial in found.trials] == [None] * 4
    assert {trial.kind for trial in found.trials} == {"sparse", "tickets"}
    for trial in found.trials:
        assert 0 <= trial.metrics["mean_iou"] <= trial.metrics["accuracy"] <= 1
        assert trial.network["space"] == "deeplabv3-resnet14"
    chosen = front.points[0].id
    done = CliRunner().invoke(app, ["evaluate", str(run), chosen, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"].keys() == {"accuracy", "mean_iou"}
    done = CliRunner().invoke(app, ["select", str(run), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "logits of shape (N, 64, 64, 2)" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "mask-folder", "source_dir": "masks"}, r"tickets\.source: .*one label"),
        ({"space": "deeplabv3-resnet14"}, r"tickets\.space: deeplabv3-resnet14 gives outputs"),
        ({"space": "resnet20"}, r"tickets\.target_space: space: deeplabv3-resnet14 has no"),
        ({"target_space": "resnet20"}, r"tickets\.target_space: resnet20 gives outputs"),
    ],
)
def test_tickets_that_could_not_be_pretrained_or_transferred_are_refused_at_once(
    changes: dict[str, str], message: str, masks: Path, pictures: Path, tmp_path: Path
) -> None:
    tickets = {
        "space": "resnet14-bottleneck",
        "target_space": "deeplabv3-resnet14",
        "source": "image-folder",
        "source_dir": "pictures",
        "scheme": "omp",
        "sparsity": 0.8,
        "pretrain_epochs": 1,
        "epochs": 1,
        **changes,
    }
    tickets["source_dir"] = str({"masks": masks, "pictures": pictures}[tickets["source_dir"]])
    study = {
        "name": "wrong",
        "dataset": "mask-folder",
        "data_dir": str(masks),
        "trials": {"tickets": tickets},
        "objectives": {"mean_iou": "maximize", "macs": "minimize"},
        "search": {**SERIAL, "trials": 1},
    }
    with pytest.raises(UsageError, match=message):
        Study(study, tmp_path / "run").run()


def test_grown_and_sparse_language_models_compete_on_perplexity(text: Path, tmp_path: Path) -> None:
    study = {
        "name": "words",
        "dataset": "ptb",
        "data_dir": str(text),
        "trials": {
            "growth": {"space": "rnn-ptb-small", "budget": {"parameters": 0.6}, "epochs": 2},
            "sparse": {
                "space": "lstm-ptb-small",
                "transform": "none",
                "sparsity": [0.5, 0.7],
                "epochs": 1,
            },
        },
        "objectives": {"perplexity": "minimize", "parameters": "minimize"},
        "constraints": {"perplexity": {"max": 1000}},
        "search": {**SERIAL, "trials": 4},
    }
    run = tmp_path / "run"
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    found = Study(path, run)
    found.run()
    assert [trial.error for trial in found.trials] == [None] * len(found.trials)
    assert {trial.kind for trial in found.trials} == {"growth", "sparse"}
    for trial in found.trials:
        assert 1 <= trial.metrics["perplexity"] < 40
    done = CliRunner().invoke(app, ["select", str(run), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "int64 words of shape (N, 35)" in card
    assert "logits of shape (N, 35, 21)" in card


@pytest.mark.parametrize(
    ("dataset", "space", "message"),
    [
        ("masks", "resnet20", r"resnet20 gives outputs \(2, 2\).*want \(2, 64, 64, 2\); take"),
        ("digits", "deeplabv3-resnet14", r"sparse\.space: deeplabv3-resnet14 .*take a space"),
        ("text", "resnet20", r"sparse\.space: resnet20 .*lstm-ptb-small for words"),
        ("digits", "lstm-ptb-small", r"sparse\.space: lstm-ptb-small reads tokens"),
    ],
)
def test_a_space_that_does_not_fit_the_labels_is_refused_before_anything_is_trained(
    dataset: str, space: str, message: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    names = {"masks": "mask-folder", "text": "ptb"}
    study = {
        "name": "wrong",
        "dataset": names.get(dataset, dataset),
        "trials": {"sparse": {"space": space, "transform": "none", "sparsity": 0.5, "epochs": 1}},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {**SERIAL, "trials": 1},
    }
    if dataset in names:
        study["data_dir"] = str(request.getfixturevalue(dataset))
    with pytest.raises(UsageError, match=message):
        Study(study, tmp_path / "run").run()
    assert not (tmp_path / "run").exists()
