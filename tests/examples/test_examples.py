"""Every example runs as a person runs it, in a small form."""

import runpy
import sys
from pathlib import Path

import pytest

from growsearch.commands import devices

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {
    "cluster.py": ["none", "run"],
    "digits.py": ["--quick"],
    "own_device_profile.py": ["--quick"],
    "own_transform.py": ["--quick"],
    "regression.py": ["--quick"],
    "multi_label.py": ["--quick"],
    "own_distillation.py": ["--quick"],
}
SHOWS = {
    "cluster.py": "accuracy",
    "digits.py": "Point(id=",
    "own_device_profile.py": "width 256:",
    "own_transform.py": "latency[wafer-cs2]",
    "regression.py": "mae",
    "multi_label.py": "mAP",
    "own_distillation.py": "agreement",
}


def run(name, arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_example_is_run_here():
    assert {file.name for file in EXAMPLES.glob("*.py")} == {*SMALL, "own_model.py"}


@pytest.mark.parametrize("name", SMALL)
def test_the_example_runs(name, tmp_path, monkeypatch, capsys):
    # How noisy the machine is takes seconds to find out, and is tested elsewhere.
    monkeypatch.setattr(devices, "noise_line", lambda threads: "quiet")
    run(name, SMALL[name], tmp_path, monkeypatch)
    assert SHOWS[name] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["regression.py", "multi_label.py", "own_distillation.py"])
def test_other_tasks_take_scripts_of_about_50_lines(name):
    assert len((EXAMPLES / name).read_text().splitlines()) <= 65


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_an_own_model_and_own_data_are_searched_on_ray_by_a_script_of_40_lines(
    tmp_path, monkeypatch, capsys
):
    assert len((EXAMPLES / "own_model.py").read_text().splitlines()) <= 40
    run("own_model.py", [], tmp_path, monkeypatch)
    shown = capsys.readouterr().out
    assert "Point(id=" in shown
    ledger = (tmp_path / "runs" / "own-model" / "trials.jsonl").read_text()
    assert ledger.count('"status":"finished"') == 6
