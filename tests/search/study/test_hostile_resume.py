"""Run folders that are resumed with files of another study, or spoilt ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import GrowsearchError
from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.record import Trial
from growsearch.trial.task import TrialTask

STUDY: dict[str, Any] = {
    "name": "resumed",
    "dataset": "digits",
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": {"low": 0.5, "high": 0.9},
            "updater": ["static", "set"],
            "epochs": 1,
        }
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 3, "seed": 1, "sampler": "random", "backend": "serial"},
}


class Trainer:
    """Gives a made-up outcome at once, and counts."""

    def __init__(self) -> None:
        self.ran = 0

    def __call__(self, config: CandidateConfig, task: TrialTask, seed: int, report: Any) -> Trial:
        self.ran += 1
        return Trial(
            id=trial_id(config, seed),
            number=0,
            kind=config.kind,
            status="finished",
            config=config.to_json(),
            seed=trial_seed(config, seed),
            metrics={"accuracy": 0.5, "macs": 1000 + self.ran},
        )


def search(folder: Path) -> int:
    trainer = Trainer()
    Study(STUDY, folder).run(StudyOptions(run=trainer))
    return trainer.ran


@pytest.fixture
def begun(run_folder: Path) -> Path:
    """A run of which the last trial was started and never finished."""
    assert search(run_folder) == 3
    ledger = run_folder / "trials.jsonl"
    ledger.write_text("".join(f"{line}\n" for line in ledger.read_text().splitlines()[:2]))
    return run_folder


def change_start(folder: Path, **params: Any) -> None:
    path = folder / "started.jsonl"
    *before, last = path.read_text().splitlines()
    data = json.loads(last)
    data["params"] |= params
    path.write_text("\n".join([*before, json.dumps(data)]) + "\n")


def test_what_was_begun_is_finished_and_nothing_else(begun: Path) -> None:
    assert search(begun) == 1


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"sparse.updater": "😄"}, "this study has: static, set"),
        ({"sparse.updater": ["set"]}, "this study has: static, set"),
        ({"sparse.sparsity": 0.99}, "this study has 0.5 to 0.9"),
        ({"sparse.sparsity": "0.6"}, "this study has 0.5 to 0.9"),
        ({"sparse.sparsity": True}, "this study has 0.5 to 0.9"),
    ],
)
def test_an_answer_that_the_study_does_not_have_is_refused_before_anything_trains(
    begun: Path, params: dict[str, Any], words: str
) -> None:
    change_start(begun, **params)
    before = (begun / "trials.jsonl").read_bytes()
    with pytest.raises(GrowsearchError, match=words):
        search(begun)
    assert (begun / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "line", ["[]", "5", '{"id": 1e999}', "[" * 5000, '{"id": "a", "number": 1e400}', "\x00\xff"]
)
def test_a_spoilt_line_of_a_start_is_passed_over(begun: Path, line: str) -> None:
    with (begun / "started.jsonl").open("a") as file:
        file.write(line + "\n")
    assert search(begun) == 1


@pytest.mark.parametrize("name", ["started.jsonl", "rejected.jsonl", "trials.jsonl", "study.yaml"])
def test_a_folder_where_a_file_of_the_run_is_due_is_named(begun: Path, name: str) -> None:
    (begun / name).unlink(missing_ok=True)
    (begun / name).mkdir()
    with pytest.raises(GrowsearchError, match=name):
        search(begun)


def test_a_finished_trial_without_a_value_of_an_objective_is_told(begun: Path) -> None:
    path = begun / "trials.jsonl"
    first, *rest = path.read_text().splitlines()
    data = json.loads(first)
    del data["metrics"]["macs"]
    path.write_text("\n".join([json.dumps(data), *rest]) + "\n")
    with pytest.raises(GrowsearchError, match=r"'macs' is missing.*--fresh"):
        search(begun)
