"""Names that a person gives the classes of tensors: figures, exports and predictions say them."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from growsearch import Study, from_tensors
from growsearch.cli import app
from growsearch.errors import UsageError


def data(**options):
    """Grey images (90, 1, 8, 8) of three levels; the middle one is the second class."""
    labels = torch.arange(90) % 3
    noise = torch.randint(0, 20, (90, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = (noise + 100 * labels[:, None, None, None]).to(torch.uint8)
    return from_tensors(images, labels, **options)


def study(run: Path, dataset) -> Study:
    sparse = {"space": "mlp-digits", "transform": "none", "sparsity": 0.5, "epochs": 8}
    config = {
        "name": "levels",
        "dataset": dataset,
        "trials": {"sparse": sparse},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 1, "backend": "serial"},
    }
    return Study(config, run)


def test_names_of_classes_show_wherever_classes_do(tmp_path: Path) -> None:
    run, names = tmp_path / "run", ["dark", "grey", "light"]
    search = study(run, data(classes=names))
    search.run()
    (trial,) = search.trials
    assert "dark" in " ".join(search.data_lines)
    done = CliRunner().invoke(app, ["evaluate", str(run), trial.id, "--metrics", "accuracy"])
    assert done.exit_code == 0, done.output
    figures = json.loads((run / "trials" / trial.id / "evaluation.json").read_text())
    assert [each["name"] for each in figures["classes"]] == names
    out = search.export(trial.id, tmp_path / "out").weights.parent
    assert json.loads((out / "preprocessing.json").read_text())["classes"] == names
    assert "dark, grey, light" in (out / "MODEL_CARD.md").read_text()
    Image.new("L", (8, 8), 110).save(tmp_path / "one.png")
    for place in (run, out):
        done = CliRunner().invoke(app, ["predict", str(place), str(tmp_path / "one.png"), "--json"])
        assert done.exit_code == 0, done.output
        (found,) = json.loads(done.stdout)["predictions"]
        assert found["class"] == "grey"


def test_a_resume_with_other_names_is_refused_and_leaves_the_data_as_they_were(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    study(run, data()).run()
    study(run, data(classes=["dark", "grey", "light"])).run()
    about = json.loads((run / "preprocessing.json").read_text())
    assert about["classes"] == ["dark", "grey", "light"]
    before = (run / "data" / "data.safetensors").read_bytes()
    assert b"light" in before
    with pytest.raises(UsageError, match="classes of the data are not what they were"):
        study(run, data(classes=["dark", "light", "grey"])).run()
    assert (run / "data" / "data.safetensors").read_bytes() == before
