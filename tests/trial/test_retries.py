import dataclasses
import resource
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import GrowsearchError, MachineError, TimeLimitError
from growsearch.kinds import (
    CandidateConfig,
    DataChoice,
    GrowFirst,
    GrowthBound,
    GrowthCandidate,
    RecipeChoice,
    SparseCandidate,
    trial_id,
)
from growsearch.training import read_checkpoint
from growsearch.trial.progress_file import PROGRESS
from growsearch.trial.record import Trial
from growsearch.trial.retries import (
    failed_trial,
    forget_attempts,
    keep_outcome,
    kept_outcome,
    run_to_its_end,
    train_and_score,
)
from growsearch.trial.run import CHECKPOINT, checkpoints
from growsearch.trial.task import TrialTask

GROWTH = GrowthCandidate(
    space="mlp-digits",
    budget=GrowthBound("parameters", 0.2),
    training=RecipeChoice(epochs=3),
)
SPARSE = SparseCandidate(
    space="mlp-digits",
    transform="sparse_wide",
    sparsity=0.6,
    distribution="erk",
    updater="rigl",
    training=RecipeChoice(epochs=3),
    record=("spectra",),
)


def _task(folder: Path) -> TrialTask:
    return TrialTask(
        data=DataChoice(name="digits", folder=None), devices=("wafer-cs2",), folder=folder
    )


def _run(config: CandidateConfig, folder: Path, run: Any = train_and_score) -> Trial:
    return run_to_its_end(config, _task(folder), study_seed=3, report=lambda _: None, run=run)


class _FallsOnce:
    """Raises after one epoch, once, and keeps the epochs that it saw."""

    def __init__(self, after: int = 2) -> None:
        self.epochs: list[int] = []
        self._fatal = list(range(1, after + 1))

    def __call__(self, config: Any, task: Any, seed: int, report: Any) -> Trial:
        def spy(record: Any) -> None:
            self.epochs.append(record.epoch)
            if self.epochs == self._fatal:
                raise RuntimeError("a bug")

        return train_and_score(config, task, seed, spy)


@pytest.mark.parametrize("config", [GROWTH, SPARSE], ids=["growth", "sparse"])
def test_a_trial_that_raises_goes_on_after_its_last_epoch_and_ends_the_same(
    config: CandidateConfig, tmp_path: Path
) -> None:
    falls = _FallsOnce()
    found, expected = _run(config, tmp_path / "a", falls), _run(config, tmp_path / "b")
    assert falls.epochs == [1, 2, 3]
    assert found.finished
    assert dataclasses.replace(found, duration_s=0) == dataclasses.replace(expected, duration_s=0)
    folders = [tmp_path / name / "trials" / found.id for name in ("a", "b")]
    for file in folders[1].iterdir():
        if file.name not in ("outcome.json", PROGRESS, CHECKPOINT):
            assert (folders[0] / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_trial_that_grows_first_goes_on_in_either_part(after: int, tmp_path: Path) -> None:
    first = GrowFirst(budget=GrowthBound("macs", 0.5), epochs=2)
    config = dataclasses.replace(SPARSE, transform="none", record=(), grow=first)
    falls = _FallsOnce(after)
    found, expected = _run(config, tmp_path / "a", falls), _run(config, tmp_path / "b")
    assert falls.epochs == [1, 2, 3, 4, 5]
    assert dataclasses.replace(found, duration_s=0) == dataclasses.replace(expected, duration_s=0)
    folder = tmp_path / "a" / "trials" / found.id
    assert all(file.is_file() for file in checkpoints(folder))


def test_a_damaged_checkpoint_is_put_aside_and_the_trial_starts_again(tmp_path: Path) -> None:
    file = tmp_path / "trials" / trial_id(SPARSE, 3) / CHECKPOINT
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a file")
    assert _run(SPARSE, tmp_path).finished


def test_a_checkpoint_that_cannot_be_opened_is_no_damaged_one(tmp_path: Path) -> None:
    def cut_off(config: Any, task: Any, seed: int, report: Any) -> Trial:
        def stop(_record: Any) -> None:
            raise MachineError("the power is off")

        return train_and_score(config, task, seed, stop)

    with pytest.raises(MachineError, match="the power is off"):
        _run(SPARSE, tmp_path, cut_off)
    file = tmp_path / "trials" / trial_id(SPARSE, 3) / CHECKPOINT
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(MachineError, match=r"cannot open .*Too many open files"):
            read_checkpoint(file)
        with pytest.raises(MachineError, match="Too many open files"):
            _run(SPARSE, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert file.read_bytes() == before
    epochs: list[int] = []

    def note(config: Any, task: Any, seed: int, report: Any) -> Trial:
        return train_and_score(config, task, seed, lambda record: epochs.append(record.epoch))

    assert _run(SPARSE, tmp_path, note).finished
    assert epochs == [2, 3]


def test_a_trial_that_always_raises_is_a_failed_one_with_the_place_and_the_count(
    tmp_path: Path,
) -> None:
    def broken(config: Any, task: Any, seed: int, report: Any) -> Trial:
        raise ValueError("shapes\ndo not fit")

    trial = _run(SPARSE, tmp_path, broken)
    assert trial.status == "failed"
    assert trial.error is not None
    assert trial.error.startswith("ValueError: shapes do not fit at test_retries.py:")
    assert trial.error.endswith(", 4 times")
    assert trial.id == trial_id(SPARSE, 3)


def test_storage_errors_are_raised_and_a_limit_that_passed_is_a_failed_trial(
    tmp_path: Path,
) -> None:
    def full(*_: Any) -> Trial:
        raise GrowsearchError("cannot write: no space")

    def late(*_: Any) -> Trial:
        raise TimeLimitError("the time limit of 9 s passed")

    with pytest.raises(GrowsearchError, match="no space"):
        _run(SPARSE, tmp_path, full)
    assert _run(SPARSE, tmp_path, late).error == "TimeLimitError: the time limit of 9 s passed"


def test_an_outcome_that_is_on_disk_is_not_run_again_and_a_damaged_one_counts_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "trials" / trial_id(SPARSE, 3)
    outcome = failed_trial(SPARSE, 3, "said before")
    keep_outcome(folder, outcome)

    def refuse(*_: Any) -> Trial:
        raise AssertionError("it ran again")

    assert _run(SPARSE, tmp_path, refuse) == outcome
    (folder / "outcome.json").write_text('{"id": "cut')
    assert kept_outcome(folder) is None
    for file in checkpoints(folder):
        file.touch()
    (folder / "weights.safetensors").touch()
    forget_attempts(folder)
    assert [file.name for file in folder.iterdir()] == ["weights.safetensors"]
