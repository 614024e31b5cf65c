"""What a search says at its end: kinds on the front, and why it ended."""

from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands.search import _time_was_up

STUDY = {
    "name": "end",
    "dataset": "digits",
    "baselines": ["dense"],
    "trials": {
        "growth": {"space": "mlp-digits", "budget": {"parameters": "20%"}, "epochs": 2},
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": 0.5,
            "updater": "static",
            "epochs": 1,
        },
    },
    "objectives": {"macs": "minimize", "accuracy": "maximize"},
    "search": {"trials": 1, "seed": 0, "backend": "serial"},
}


def test_the_front_is_told_by_the_kinds_that_are_on_it(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    done = CliRunner().invoke(app, ["search", str(file), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    (line,) = (x for x in done.output.splitlines() if x.startswith("Front over all"))
    said = line.partition(": ")[2].split(", ")
    assert all(not each.startswith("0 ") for each in said)
    assert any("baseline" in each for each in said)
    assert sum(int(each.split()[0]) for each in said) >= 1


@pytest.mark.parametrize("searched", [False, True])
def test_time_that_baselines_alone_used_is_told(searched):
    kinds = ["baseline", "baseline", *(["growth"] if searched else [])]
    run = SimpleNamespace(
        config=SimpleNamespace(search=SimpleNamespace(trials=None, time_budget=90.0)),
        trials=[SimpleNamespace(kind=kind) for kind in kinds],
        folder=SimpleNamespace(read_starts=lambda: kinds),
        time_was_up="it was used up",
    )
    assert ("all of them are baselines, which run first" in _time_was_up(run)) is not searched
