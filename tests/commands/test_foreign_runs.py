"""A run folder from elsewhere is read, and nothing in it is executed."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.search.study.study import Study
from growsearch.trial.ledger_file import read_ledger

STUDY = {
    "name": "foreign",
    "dataset": "digits",
    "trials": {"growth": {"space": "mlp-digits", "budget": {"parameters": "20%"}, "epochs": 2}},
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 1, "backend": "serial"},
}


@pytest.fixture
def foreign(tmp_path):
    """A finished run whose study was changed to name code that lies in the folder itself."""
    folder = tmp_path / "run"
    Study(STUDY, folder).run()
    mark = tmp_path / "executed"
    (folder / "foreign_module.py").write_text(
        f"open({str(mark)!r}, 'w').close()\nNet = data = None\n"
    )
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["code_dir"] = str(folder)
    study["trials"]["growth"]["space"] = "foreign_module:Net"
    study["dataset"] = "foreign_module:data"
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder, mark


@pytest.mark.parametrize(
    "command",
    [
        ("report", "RUN", "--format", "all"),
        ("select", "RUN"),
        ("evaluate", "RUN", "ID"),
        ("compare", "RUN", "RUN"),
        ("search", "STUDY", "--out", "RUN"),
    ],
)
def test_no_command_imports_code_that_a_run_folder_names(command, foreign, tmp_path):
    folder, mark = foreign
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY))
    (trial,) = read_ledger(folder / "trials.jsonl").trials
    names = {"RUN": str(folder), "ID": trial.id, "STUDY": str(tmp_path / "study.yaml")}
    done = CliRunner().invoke(app, [names.get(word, word) for word in command])
    assert not mark.exists(), done.output
