"""Exports of runs that kept no preprocessing: load.py still says which class is largest."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from growsearch.search.study.study import Study

INPUTS = torch.linspace(-1, 2, 4).view(1, 1, 2, 2)


def _run(tmp_path: Path, labels: torch.Tensor, **keys: Any) -> Study:
    inputs = torch.randn(200, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    sparse = {
        "space": "mlp-digits",
        "transform": "none",
        "sparsity": 0.5,
        "distribution": "erk",
        "updater": "static",
        "epochs": 1,
    }
    study = Study(
        {
            "name": "own",
            "dataset": (inputs, labels),
            "trials": {"sparse": sparse},
            "objectives": {"accuracy": "maximize"},
            "search": {"trials": 1, "backend": "serial"},
            **keys,
        },
        tmp_path / "run",
    )
    study.run()
    return study


def _printed(folder: Path, tmp_path: Path) -> str:
    """Run load.py on inputs that are known in the place of random ones."""
    code = (
        "import runpy, sys, torch\n"
        "torch.randn = lambda *shape: torch.linspace(-1, 2, 4).view(shape)\n"
        f"runpy.run_path({str(folder / 'load.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("kept", [True, False])
def test_load_py_says_which_class_is_largest(kept: bool, tmp_path: Path) -> None:
    study = _run(tmp_path, torch.arange(200) % 5)
    if not kept:
        (tmp_path / "run" / "preprocessing.json").unlink()
    (trial,) = study.trials
    study.export(trial.id, tmp_path / "out")
    with torch.no_grad():
        best = study.load(trial.id)(INPUTS).argmax(1)
    assert _printed(tmp_path / "out", tmp_path) == f"largest class: {best}"
    about = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert about["output"]["kind"] == "classes"
    assert ("before runs kept" in about["input"]["why"]) is not kept


def test_outputs_that_are_no_classes_are_printed_as_they_are(tmp_path: Path) -> None:
    numbers = torch.randn(200, generator=torch.Generator().manual_seed(1))
    study = _run(tmp_path, numbers, task="regression", objectives={"mae": "minimize"})
    (tmp_path / "run" / "preprocessing.json").unlink()
    (trial,) = study.trials
    study.export(trial.id, tmp_path / "out")
    with torch.no_grad():
        found = study.load(trial.id)(INPUTS)
    assert _printed(tmp_path / "out", tmp_path).startswith(f"tensor([[{found.item():.4f}")
