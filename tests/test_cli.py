import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from growsearch.search.study.study import Study


def _growsearch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from growsearch.cli import main; main()", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_help_names_the_commands_and_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom growsearch.cli import main\nsys.argv = ['growsearch', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'ray', 'optuna', 'sklearn')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("search", "report", "select", "list"))
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["search", "missing.yaml"], 2, ["missing.yaml", "give a study file"]),
        (["report", "missing"], 2, ["missing", "folder of a run"]),
        (["select", "missing", "--max", "macs=1k"], 2, ["missing"]),
        (["list", "planets"], 2, ["planets", "spaces"]),
    ],
)
def test_wrong_input_is_one_message_without_a_traceback(
    tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    done = _growsearch(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words)


def test_a_search_ends_with_a_report_and_select_exports_a_proven_network(
    tmp_path: Path,
) -> None:
    study: dict[str, Any] = {
        "name": "tiny",
        "dataset": "digits",
        "trials": {"growth": {"space": "mlp-digits", "budget": {"parameters": "20%"}, "epochs": 2}},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 1, "backend": "serial"},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    done = _growsearch("search", "study.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Choice" in done.stdout
    assert "Hypervolume" in done.stdout
    assert (tmp_path / "runs" / "tiny" / "report.html").is_file()
    chosen = _growsearch("select", "runs/tiny", "--max", "macs=200k", cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    assert "outputs differ by at most" in chosen.stdout
    (exported,) = (tmp_path / "runs" / "tiny" / "export").iterdir()
    assert {p.name for p in exported.iterdir()} >= {"architecture.json", "weights.safetensors"}
    weighed = _growsearch(
        "select", "runs/tiny", "--prefer", "weights", "--weight", "macs=9", cwd=tmp_path
    )
    assert weighed.returncode == 0, weighed.stderr
    missed = _growsearch("select", "runs/tiny", "--max", "macs=1", cwd=tmp_path)
    assert missed.returncode == 1
    assert "Nearest miss" in missed.stdout


def test_a_search_says_its_first_line_before_it_loads_anything_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "class Said:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'ray', 'optuna', 'numpy', 'sklearn'):\n"
        "            print('LOADS', name, flush=True)\n"
        "sys.meta_path.insert(0, Said())\n"
        "sys.argv = ['growsearch', 'search', 'missing.yaml']\n"
        "from growsearch.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("Reading missing.yaml; ")
    assert second.startswith("LOADS ")


def test_fresh_starts_in_a_new_folder_and_deletes_nothing(tmp_path: Path) -> None:
    from growsearch.search.ledger.run_folder import fresh_folder

    (tmp_path / "digits").mkdir()
    (tmp_path / "digits-2").mkdir()
    assert fresh_folder(tmp_path / "digits") == tmp_path / "digits-3"
    assert fresh_folder(tmp_path / "other") == tmp_path / "other"


def test_a_study_reads_a_mapping_as_well_as_a_file(tmp_path: Path) -> None:
    study = Study(Path(__file__).parents[1] / "examples" / "digits.yaml", tmp_path / "run")
    assert study.config.name == "digits"
    assert not (tmp_path / "run").exists()


def test_a_search_that_is_told_to_terminate_says_what_was_kept_and_how_to_go_on(
    tmp_path: Path,
) -> None:
    study: dict[str, Any] = {
        "name": "long",
        "dataset": "digits",
        "trials": {
            "sparse": {
                "space": "mlp-digits",
                "transform": "none",
                "sparsity": {"low": 0.5, "high": 0.9},
                "epochs": 1,
            }
        },
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 500, "backend": "serial"},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    process = subprocess.Popen(
        [sys.executable, "-c", "from growsearch.cli import main; main()", "search", "study.yaml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        # Before what takes seconds to load, and then what was read.
        assert process.stdout.readline().startswith("Reading study.yaml; torch and the data take")
        assert process.stdout.readline().startswith("Data digits: 1,197 training")
        assert process.stdout.readline().startswith("  classes: 10")
        # Elsewhere than in a terminal, a line is shown for every trial.
        assert process.stdout.readline().startswith("1/500 trials")
        process.terminate()
        _, message = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "finished trials are kept in" in message
    assert "run the same command again to go on" in message
    assert "Traceback" not in message
