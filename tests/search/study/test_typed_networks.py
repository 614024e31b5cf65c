"""Networks that were typed into a session: searched, resumed, refused, and told elsewhere."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError

# Runs cells as a notebook does: in the main module, with their source kept.
CELLS = """
import linecache, sys
def cell(source):
    name = f"<cell {{len(linecache.cache)}}>"
    if {keep}:
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    exec(compile(source, name, "exec"), vars(sys.modules["__main__"]))
"""
NET = """
import torch
from torch import nn
from growsearch.training import Hook

def act(x):
    return torch.relu(x)

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(act(self.norm(self.inner(x))))

class Marking(Hook):
    def __init__(self, folder):
        self.folder = folder
    def state(self):
        return {}
    def on_start(self, state):
        (self.folder / "marked").touch()
"""
STUDY = """
from growsearch import Study
draws = torch.Generator().manual_seed(0)
data = torch.randn(120, 4, generator=draws), torch.arange(120) % 3
study = {{
    "name": "typed", "dataset": data, "callbacks": [Marking],
    "trials": {{
        "sparse": {{
            "space": Net, "transform": "none", "epochs": 1, "sparsity": {{"low": 0.5, "high": 0.8}}
        }}
    }},
    "objectives": {{"accuracy": "maximize", "macs": "minimize"}},
    "search": {{"parallel": 1, **{search}}},
}}
study = Study(study, {folder!r})
print(*study.notes, sep="\\n")
front = study.run()
print([trial.status for trial in study.trials], [trial.error for trial in study.trials])
print("resumed", study.resumed_trials)
best = front.members[0]
print(type(study.load(best)).__name__, study.export(best).max_difference < 1e-5)
"""


def session(folder, net=NET, *, search=None, keep=True):
    """Run the study in a Python of its own, typed cell by cell; return what was printed last."""
    study = STUDY.format(search=search or {"backend": "serial", "trials": 2}, folder=str(folder))
    cells = CELLS.format(keep=keep) + f"cell({net!r})\ncell({study!r})\n"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-"],
        input=textwrap.dedent(cells),
        capture_output=True,
        text=True,
        cwd=folder.parent,
        timeout=300,
    )


def test_a_typed_network_is_searched_goes_on_in_another_session_and_is_told_elsewhere(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    first = session(run)
    assert first.returncode == 0, first.stderr
    assert "__main__:Net was typed into this session: the run knows it by the hash" in first.stdout
    assert "['finished', 'finished']" in first.stdout
    assert "resumed 0\nNet True" in first.stdout
    assert any(run.glob("trials/*/marked"))
    again = session(run)
    assert "resumed 2\nNet True" in again.stdout, again.stderr
    changed = session(run, NET.replace("act(self.norm", "torch.tanh(self.norm"))
    assert changed.returncode == 1
    told = changed.stderr.strip().splitlines()[-1]
    assert "trials.sparse.space: __main__:Net: its code is not what it was (" in told
    assert told.endswith("type it as it was, or give Study another folder to start anew in")
    without = session(run, keep=False)
    told = without.stderr.strip().splitlines()[-1]
    assert "of compiled code, as this session keeps no source" in told
    # Nothing of a session is in the run's folder, and nothing is made of it from there.
    assert not [file for file in run.rglob("*") if file.suffix in (".pkl", ".pickle")]
    for name in ("select", "export", "finish"):
        for code in ([], ["--code", str(tmp_path)]):
            refused = CliRunner().invoke(app, [name, str(run), *code])
            assert isinstance(refused.exception, UsageError), name
            text = str(refused.exception)
            typed = "Marking" if name == "finish" else "Net"
            assert f"__main__:{typed} was typed into a session and is in no file" in text, name
            assert text.endswith(f"and be searched as my_model:{typed}"), name


@pytest.mark.skipif(
    os.environ.get("GROWSEARCH_CLUSTER_TESTS") != "1",
    reason="takes a minute: GROWSEARCH_CLUSTER_TESTS is not 1 (make test-cluster)",
)
@pytest.mark.parametrize(
    "how",
    [
        {"sampler": "random", "first_fidelity": {"proxy": "snip", "pool": 2}},
        {"workers_per_trial": 2},
    ],
    ids=["prescreened", "two workers a trial"],
)
def test_a_typed_network_reaches_the_workers_of_its_own_search(how, tmp_path: Path) -> None:
    done = session(tmp_path / "run", search={"backend": "ray", "trials": 1, **how})
    assert "['finished'] [None]" in done.stdout, done.stdout + done.stderr
    assert "resumed 0\nNet True" in done.stdout
    assert any(tmp_path.glob("run/trials/*/marked"))


def test_what_cannot_be_sent_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    locked = "import threading\nlock = threading.Lock()\n" + NET.replace(
        "return torch.relu(x)", "return lock and torch.relu(x)"
    )
    refused = session(tmp_path / "run", locked, search={"backend": "ray"})
    told = refused.stderr.strip().splitlines()[-1]
    assert "__main__:Net cannot be sent to workers: TypeError: cannot pickle '_thread.lock'" in told
    assert told.endswith("Make that value where it is used, or search with backend: serial")
    assert not (tmp_path / "run" / "study.yaml").exists()
