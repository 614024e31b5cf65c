"""Completion of values in a shell: what registries have, what lies on the disk, and no torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands import completion


def _asked(words: str) -> dict[str, str]:
    """Return how bash asks for the last word of a line."""
    return {
        "_GROWSEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }


def _complete(words: str) -> list[str]:
    found = CliRunner().invoke(app, [], env=_asked(words), prog_name="growsearch")
    assert found.exit_code == 0, found.output
    return found.output.splitlines()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("runs/digits", "runs/cifar"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "study.yaml").write_text("name: x\n")
    lines = [{"id": "3f2a91c0de", "metrics": {"accuracy": 0.9, "latency[cpu]": 1.0}}, {"id": "9"}]
    (tmp_path / "runs/digits/trials.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{")
    (tmp_path / "notes").mkdir()
    (tmp_path / "study.yaml").write_text("")
    (tmp_path / "readme.md").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("growsearch grow --space mlp", ["mlp-digits"]),
        ("growsearch grow --data cifar", ["cifar10", "cifar100"]),
        ("growsearch profile --device cuda", ["cuda", "cuda-fp16", "cuda-2:4"]),
        ("growsearch status ", ["runs/"]),
        ("growsearch watch runs/", ["runs/cifar", "runs/digits"]),
        ("growsearch select runs/dig", ["runs/digits"]),
        ("growsearch select runs/digits --max acc", ["accuracy="]),
        ("growsearch select runs/digits --prefer k", ["knee"]),
        ("growsearch evaluate runs/digits 3f", ["3f2a91c0de"]),
        ("growsearch evaluate runs/digits 3f --metrics ece,nl", ["ece,nll"]),
        ("growsearch report runs/digits --format p", ["png", "pdf", "parquet"]),
        ("growsearch search s", ["study.yaml"]),
        ("growsearch search study.yaml --backend s", ["serial"]),
        ("growsearch list da", ["datasets"]),
    ],
)
def test_a_shell_is_offered_what_fits(
    words: str, expected: list[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert _complete(words) == expected


def test_a_shell_waits_for_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['growsearch']\nfrom growsearch.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'ray', 'optuna', 'sklearn', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | _asked("growsearch grow --space mlp"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["mlp-digits", "[]"], done.stderr


def test_names_that_stand_here_are_those_of_the_registries() -> None:
    from cost_models import DEVICES
    from growsearch.commands.listing import _LISTS
    from growsearch.commands.report import OPTUNA
    from growsearch.datasets import DESCRIPTIONS
    from growsearch.kinds.recipe_choice import OPTIMIZERS
    from growsearch.metrics import METRICS
    from growsearch.pareto.preferences import PREFERENCES
    from growsearch.report import FORMATS
    from growsearch.training.recipes.presets import RECIPES
    from search_spaces import SEARCH_SPACES

    assert set(completion.SPACES) == set(SEARCH_SPACES)
    assert set(completion.DEVICES) == set(DEVICES)
    assert set(completion.DATASETS) == set(DESCRIPTIONS)
    assert set(completion.RECIPES) == set(RECIPES)
    assert set(completion.METRICS) == set(METRICS)
    assert set(completion.FORMATS) == {*FORMATS, OPTUNA, "all"}
    assert set(completion.PREFERENCES) == set(PREFERENCES)
    assert set(completion.OPTIMIZERS) == set(OPTIMIZERS)
    assert ", ".join(completion.LISTS) == _LISTS


def test_a_folder_of_anything_completes_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    context = type("Context", (), {"params": {"run": tmp_path / "runs" / "x"}})()
    assert completion.run_folders(context, "nowhere/") == []
    assert completion.trial_ids(context, "") == []
    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    for content in (b"", b"\x00\xff", b"[" * 10_000 + b"\n", b'{"id": 5, "metrics": []}\n'):
        (folder / "trials.jsonl").write_bytes(content)
        assert completion.trial_ids(context, "") == []
        assert completion.bounded_measures(context, "") == []


def test_no_text_of_a_ledger_is_offered_that_a_shell_would_run(tmp_path: Path) -> None:
    context = type("Context", (), {"params": {"run": tmp_path}})()
    hostile = ["3f;touch x;:", "$(touch x)", "a b", "\x1b[31m", "`x`", "-rf"]
    lines = [{"id": name, "metrics": {name: 1, "latency[cpu]": 1}} for name in [*hostile, "3fa9"]]
    (tmp_path / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert completion.trial_ids(context, "") == ["3fa9"]
    assert set(completion.bounded_measures(context, "")) == {"latency[cpu]=", "3fa9="}


def test_a_pipe_in_the_place_of_a_ledger_keeps_no_shell_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trials.jsonl")
    context = type("Context", (), {"params": {"run": tmp_path}})()
    assert completion.trial_ids(context, "") == []
