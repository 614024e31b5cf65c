"""Files of a run that are damaged, missing or of no trial: search, repeats and finished choices."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.report import read_run
from growsearch.report.run_files import FileFinding, check_files
from growsearch.search.study.finishing import FinishOptions, finish, plan_finish
from growsearch.search.study.study import Study

STUDY = {
    "name": "files",
    "dataset": "digits",
    "subset": 200,
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": [0.0, 0.9],
            "distribution": "erk",
            "updater": "static",
            "epochs": 1,
        }
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 2, "seed": 3, "backend": "serial", "sampler": "random", "repeats": 1},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "run"
    Study(STUDY, folder).run()
    options = FinishOptions(epochs=1, seeds=2)
    finish(plan_finish(folder, read_run(folder).finished[0], options), options)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def _places(run: Path) -> list[Path]:
    (finished,) = (run / "finished").iterdir()
    return [run, run / "repeats", finished]


def _odd(run: Path) -> list[FileFinding]:
    return [each for each in check_files(run) if not each.sound]


def test_a_sound_run_has_its_counts_and_nothing_amiss(run: Path) -> None:
    found = check_files(run)
    assert all(each.sound and not each.problem for each in found), found
    assert [(each.name.rpartition("/")[0].partition("/")[0], each.found) for each in found] == [
        ("", "2 trainings of the search, 2 finished, 0 failed, 0 files amiss"),
        ("repeats", "2 trainings of repeats of the front, 2 finished, 0 failed, 0 files amiss"),
        ("finished", "2 trainings of a choice, 2 finished, 0 failed, 0 files amiss"),
    ]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _spoilt(file: Path) -> None:
    file.write_bytes(b"{" * 50)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["search", "repeats", "finish"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights.safetensors", _cut),
        ("weights.safetensors", Path.unlink),
        ("architecture.json", _spoilt),
        ("architecture.json", lambda file: file.write_text("{}")),
        ("history.csv", lambda file: file.write_text("a,a\n")),
        ("validation.json", _spoilt),
    ],
)
def test_a_damaged_file_is_a_problem_that_is_named(
    place: int, name: str, damage: Callable[[Path], object], run: Path
) -> None:
    folder = sorted((_places(run)[place] / "trials").iterdir())[0]
    if place == 2 and name == "validation.json":
        # A finished choice has learned these examples, and keeps none.
        return
    damage(folder / name)
    (found,) = _odd(run)
    assert found.problem
    assert found.name == str((folder / name).relative_to(run))
    assert found.remedy


@pytest.mark.parametrize("place", [0, 1, 2], ids=["search", "repeats", "finish"])
def test_a_folder_that_no_ledger_knows_is_told(place: int, run: Path) -> None:
    folder = _places(run)[place] / "trials"
    (folder / "0123456789").mkdir()
    (found,) = _odd(run)
    assert (found.name, found.problem) == (str((folder / "0123456789").relative_to(run)), False)
    assert found.found == "no ledger knows it"


@pytest.mark.parametrize("place", [0, 1, 2], ids=["search", "repeats", "finish"])
def test_a_network_without_its_line_is_told_and_so_is_a_line_cut_short(
    place: int, run: Path
) -> None:
    folder = _places(run)[place]
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text(lines[0] + lines[1][:60])
    cut, lost, *others = _odd(run)
    # Who lost a trial of the search has its repeat left, too, and maybe its finish.
    assert bool(others) is (place == 0)
    assert "a line cut short by a crash was ignored" in cut.found
    assert lost.name.endswith(f"trials/{json.loads(lines[1])['id']}")
    assert lost.found == "it has a network and no line in the ledger"
    assert not cut.problem
    assert not lost.problem


@pytest.mark.parametrize("place", [0, 1, 2], ids=["search", "repeats", "finish"])
def test_a_ledger_that_is_broken_is_a_problem(place: int, run: Path) -> None:
    ledger = _places(run)[place] / "trials.jsonl"
    ledger.write_text('{"id": "x"}\n' + ledger.read_text())
    problems = [each for each in _odd(run) if each.problem]
    assert any("trials.jsonl:1: not a trial" in each.found for each in problems)


def test_repeats_and_finishes_of_no_trial_are_told(run: Path) -> None:
    lines = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    finished = _places(run)[2]
    gone = finished.name.partition("-")[0]
    (kept,) = [line for line in lines if json.loads(line)["id"] != gone]
    (run / "trials.jsonl").write_text(kept)
    shutil.rmtree(run / "trials" / gone)
    (run / "finished" / "notes").mkdir()
    told = {each.name: each.found for each in _odd(run)}
    assert told.pop(f"finished/{finished.name}") == "it finishes no trial of this run"
    assert told.pop("finished/notes") == "it is no run"
    ((name, words),) = told.items()
    assert name.startswith("repeats/trials/")
    assert words == "it repeats no trial of this run"


def test_a_link_in_the_place_of_repeats_is_a_problem_and_not_followed(run: Path) -> None:
    (run / "repeats").rename(run.parent / "elsewhere")
    (run / "repeats").symlink_to(run.parent / "elsewhere")
    (found,) = _odd(run)
    assert (found.name, found.problem) == ("repeats", True)


def test_many_findings_are_counted(run: Path) -> None:
    for number in range(30):
        (run / "repeats" / "trials" / f"{number:010}").mkdir()
    found = _odd(run)
    assert len(found) == 21
    assert found[-1].found == "10 more"


def test_the_command_prints_a_line_each_and_returns_1_for_a_problem(run: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", str(run)])
    assert done.exit_code == 0, done.output
    assert "ok  repeats/trials.jsonl: 2 trainings of repeats of the front" in done.output
    (weights,) = sorted((run / "repeats" / "trials").glob("*/weights.safetensors"))[:1]
    weights.unlink()
    done = CliRunner().invoke(app, ["doctor", str(run), "--json"])
    assert done.exit_code == 1
    (row,) = [row for row in json.loads(done.output) if row["state"] == "problem"]
    assert row["name"] == str(weights.relative_to(run))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"study\.yaml"):
        check_files(tmp_path)
