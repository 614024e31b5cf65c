"""The demonstration: its images are of different digits a split, its study is legal and runs."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml

from growsearch import Study
from growsearch.datasets import load_dataset
from growsearch.search.config.file import load_study

DEMO = Path(__file__).parents[2] / "examples" / "demo"


@pytest.fixture
def prepared(tmp_path, monkeypatch, capsys):
    """A small one of its folders: runs/demo-data beside examples/demo."""
    here = tmp_path / "examples" / "demo"
    shutil.copytree(DEMO, here, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sys, "path", [str(here), *sys.path])
    spec = importlib.util.spec_from_file_location("demo_prepare", here / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.COUNTS, module.EPOCHS = {"train": 200, "val": 60, "test": 60}, 1
    module.main(tmp_path / "runs" / "demo-data")
    assert "of the validation images right" in capsys.readouterr().out
    yield module, tmp_path
    for name in ("net", "demo_prepare"):
        sys.modules.pop(name, None)


def test_its_study_runs_on_what_was_prepared(prepared):
    module, place = prepared
    images = place / "runs" / "demo-data" / "images"
    data = load_dataset("image-folder", images)
    assert (len(data.train), len(data.validation), len(data.test)) == (200, 60, 60)
    study = load_study(place / "examples" / "demo" / "study.yaml")
    assert study.data_dir == images
    settings = yaml.safe_load((place / "examples" / "demo" / "study.yaml").read_text())
    # The least of it: one trial of each kind, one after the other.
    for kind in settings["trials"].values():
        kind["epochs"] = 2
    settings["search"] = {"trials": 3, "backend": "serial", "sampler": "random", "seed": 1}
    small = place / "examples" / "demo" / "small.yaml"
    small.write_text(yaml.safe_dump(settings))
    run = Study(small, place / "run")
    run.run()
    assert {trial.status for trial in run.trials} == {"finished"}, run.trials
    assert "baseline" in {trial.kind for trial in run.trials}
    before = {file: file.stat().st_mtime_ns for file in images.rglob("*.png")}
    module.main(place / "runs" / "demo-data")
    assert {file: file.stat().st_mtime_ns for file in images.rglob("*.png")} == before


def test_an_image_is_a_digit_that_is_seen(prepared):
    """Where its digit is drawn the colours differ from where nothing is."""
    import numpy as np

    module, _ = prepared
    rng = np.random.default_rng(0)
    digit = np.zeros((8, 8))
    digit[2:6, 2:6] = 16
    canvas = module.placed(digit, rng, 2.0, 1.0)
    assert canvas.shape == (module.SIDE, module.SIDE)
    assert canvas.max() > 200
    assert 0.02 < (canvas > 128).mean() < 0.3
    assert torch.tensor(np.asarray(module.picture(digit[None], 0, rng))).shape == (20, 20, 3)
