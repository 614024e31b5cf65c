"""Progress of a trial in its folder: written while it trains, and read with suspicion."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.kinds import DataChoice, candidate_from_json, kind_of
from growsearch.trial import progress_file
from growsearch.trial.progress_file import PROGRESS, ProgressFile, TrialProgress, read_progress
from growsearch.trial.retries import forget_attempts
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask

SPARSE = {
    "kind": "sparse",
    "space": "mlp-digits",
    "transform": "none",
    "sparsity": 0.5,
    "distribution": "uniform",
    "updater": "static",
    "epochs": 2,
    "batch_size": 64,
    "learning_rate": 0.1,
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "_BETWEEN_S", 0.0)


def test_whoever_looks_sees_every_epoch_of_a_trial_while_it_runs(tmp_path: Path) -> None:
    config = candidate_from_json(SPARSE)
    task = TrialTask(data=DataChoice(name="digits"), devices=(), folder=tmp_path)
    seen: list[TrialProgress | None] = []

    def look(_: object) -> None:
        (folder,) = (tmp_path / "trials").iterdir()
        seen.append(read_progress(tmp_path, folder.name))

    trial = run_trial(config, task, number=0, study_seed=0, report=look)
    assert [(p.epoch, p.epochs, p.phase) for p in seen if p] == [
        (1, 2, "training"),
        (2, 2, "training"),
    ]
    assert all(p is not None and "accuracy" in p.values for p in seen)
    after = read_progress(tmp_path, trial.id)
    assert after is not None
    assert after.phase == "measuring"
    assert after.process == os.getpid()
    assert trial.ended_at is not None
    assert trial.ended_at >= after.started_at
    forget_attempts(tmp_path / "trials" / trial.id)
    assert read_progress(tmp_path, trial.id) is None


def test_steps_are_a_part_of_their_epoch_and_a_resumed_trial_says_where_it_began(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "trials" / "abc"
    folder.mkdir(parents=True)
    file = ProgressFile(folder, 4)
    file.step(5, 10)
    found = read_progress(tmp_path, "abc")
    assert found is not None
    assert (found.share, found.resumed_share) == (0.125, 0.0)


def test_the_epochs_of_each_kind_are_those_that_it_tells_of() -> None:
    growth = {
        "kind": "growth",
        "space": "mlp-digits",
        "budget": {"parameters": 0.2},
        "epochs": 6,
        "batch_size": 64,
        "learning_rate": 0.1,
    }
    config = candidate_from_json(growth)
    assert kind_of(config).epochs(config) == 6
    twice = candidate_from_json(growth | {"direct_design": True})
    assert kind_of(twice).epochs(twice) == 12
    trunk = {"budgets": [0.1, 0.2], "stage_epochs": [3, 2], "decline_epochs": [1, 4]}
    for budget, epochs in ((0.1, 3 + 1), (0.2, 3 + 2 + 4)):
        branch = growth | {"budget": {"macs": budget}, "trunk": trunk}
        config = candidate_from_json(branch)
        assert kind_of(config).epochs(config) == epochs
    sparse = candidate_from_json(SPARSE)
    assert kind_of(sparse).epochs(sparse) == 2


@given(
    epoch=st.integers(-5, 50),
    epochs=st.none() | st.integers(-5, 50),
    step=st.integers(-5, 50),
    steps=st.integers(-5, 50),
)
def test_a_share_is_one_or_is_not_known(
    epoch: int, epochs: int | None, step: int, steps: int
) -> None:
    found = TrialProgress(
        id="a", phase="training", epoch=epoch, epochs=epochs, step=step, steps=steps
    )
    assert found.share is None or 0 <= found.share <= 1


def _write(folder: Path, content: str) -> None:
    (folder / "trials" / "abc").mkdir(parents=True)
    (folder / "trials" / "abc" / PROGRESS).write_text(content)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"phase": "dreaming"},
        {"epoch": -1},
        {"epoch": 1e300},
        {"epochs": "many"},
        {"values": {str(k): 1.0 for k in range(99)}},
        {"values": {"accuracy": "high"}},
        {"host": 5},
        {"written_at": 1e300},
        {"started_at": -1},
    ],
)
def test_what_is_no_progress_of_the_trial_says_nothing(
    change: dict[str, object], tmp_path: Path
) -> None:
    good = {"id": "abc", "phase": "training", "epoch": 1, "epochs": 2}
    _write(tmp_path, json.dumps(good | change))
    assert read_progress(tmp_path, "abc") is None
    (tmp_path / "trials" / "abc" / PROGRESS).write_text(json.dumps(good))
    assert read_progress(tmp_path, "abc") is not None


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000, '{"id": NaN}', "x" * 2**17])
def test_a_damaged_file_says_nothing(content: str, tmp_path: Path) -> None:
    _write(tmp_path, content)
    assert read_progress(tmp_path, "abc") is None


def test_no_name_leads_out_of_the_run_and_no_link_is_followed(tmp_path: Path) -> None:
    good = json.dumps({"id": "abc", "phase": "training"})
    _write(tmp_path / "other", good)
    (tmp_path / "run" / "trials").mkdir(parents=True)
    assert read_progress(tmp_path / "run", "../../other/trials/abc") is None
    (tmp_path / "run" / "trials" / "abc").symlink_to(tmp_path / "other" / "trials" / "abc")
    assert read_progress(tmp_path / "run", "abc") is None
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "run" / "trials" / "def").mkdir()
    os.mkfifo(tmp_path / "run" / "trials" / "def" / PROGRESS)
    assert read_progress(tmp_path / "run", "def") is None


def test_a_folder_that_is_gone_is_not_made_anew_and_ends_no_trial(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "abc"
    folder.mkdir(parents=True)
    file = ProgressFile(folder, 4)
    (folder / PROGRESS).unlink()
    folder.rmdir()
    file.step(1, 10)
    assert not folder.exists()
