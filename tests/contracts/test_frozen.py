"""Frozen files: candidates, ids, ledger lines and fronts stay what they were, byte for byte.

Runs that people have must go on, and be read, with every later version. `python
tests/contracts/test_frozen.py` writes the files anew, which only a new kind of trial may need.
"""

import json
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from growsearch import Study
from growsearch.kinds import (
    TrialKinds,
    candidate_from_json,
    suggest_candidate,
    trial_id,
    trial_seed,
)
from growsearch.search.samplers.replay import candidate_of
from growsearch.trial.ledger_file import read_ledger

FROZEN = Path(__file__).with_name("frozen")
STUDY_SEED, CANDIDATES = 3, 30
# What growth did when the files were written, and what a line that does not say it means.
PAPERS = {
    "policy": "learned",
    "freeze_at": 0.5,
    "pace": "epochs",
    "until": "epochs",
    "norms": "kept",
    "control_gain": 160.0,
}
# With all that a study of each kind could leave open when the files were written.
WIDE: dict[str, dict[str, Any]] = {
    "growth": {
        "space": ["resnet-digits", "mlp-digits", "resnet20"],
        "budget": {"macs": {"low": "5%", "high": "90%"}},
        "epochs": {"low": 2, "high": 30},
        "recipe": ["default", "growth-cifar"],
        "batch_size": [32, 64],
        "learning_rate": {"low": 0.001, "high": 0.3},
        **PAPERS,
    },
    "sparse": {
        "space": ["resnet-digits", "mlp-digits"],
        "transform": ["none", "sparse_wide", "sparse_parallel", "low_rank", "sparse_doped"],
        "sparsity": {"low": 0.5, "high": 0.95},
        "distribution": ["uniform", "erk", "snip"],
        "positions": ["random", "saliency"],
        "pattern": ["none", "2:4"],
        "updater": ["static", "set", "rigl", "gmp"],
        "activation": [True, False],
        "record": ["spectra"],
        "epochs": [1, 20],
        "grow": {
            "budget": {"parameters": {"low": "20%", "high": "60%"}},
            "epochs": [2, 5],
            "policy": "learned",
        },
    },
    "tickets": {
        "space": "resnet-digits",
        "source": "digits",
        "scheme": ["omp", "imp", "a-imp", "lmp"],
        "sparsity": {"low": 0.5, "high": 0.9},
        "granularity": ["unstructured", "channel"],
        "mode": ["finetune", "linear"],
        "robustness": ["natural", "pgd", "smoothing"],
        "epsilon": ["8/255", 0.1],
        "pretrain_epochs": [1, 10],
        "rounds": [1, 3],
        "epochs": {"low": 1, "high": 20},
    },
}
# What trains in seconds.
TINY: dict[str, dict[str, Any]] = {
    "growth": {
        "space": "mlp-digits",
        "budget": {"parameters": {"low": "5%", "high": "30%"}},
        "epochs": 2,
        **PAPERS,
    },
    "sparse": {
        "space": "mlp-digits",
        "transform": ["none", "sparse_wide"],
        "sparsity": {"low": 0.5, "high": 0.8},
        "distribution": ["uniform", "erk"],
        "updater": ["static", "rigl"],
        "epochs": 1,
    },
    "tickets": {
        "space": "mlp-digits",
        "source": "digits",
        "scheme": ["omp", "imp"],
        "sparsity": {"low": 0.5, "high": 0.8},
        "pretrain_epochs": 1,
        "draw_epochs": 1,
        "rounds": 1,
        "epochs": 1,
    },
}
OBJECTIVES = {"accuracy": "maximize", "macs": "minimize", "latency[wafer-cs2]": "minimize"}


def tiny_study(kind: str, folder: Path) -> Study:
    return Study(
        {
            "name": f"frozen-{kind}",
            "dataset": "digits",
            "trials": {kind: TINY[kind]},
            "objectives": OBJECTIVES,
            "search": {"trials": 3, "seed": STUDY_SEED, "backend": "serial", "sampler": "random"},
        },
        folder,
    )


def processor() -> str:
    """Return the kind of processor: others round differently."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def frozen_candidates(kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FROZEN / f"{kind}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", WIDE)
def test_the_same_answers_give_the_same_candidate_with_the_same_id_and_seed(kind: str) -> None:
    kinds = TrialKinds.model_validate({kind: WIDE[kind]})
    lines = frozen_candidates(kind)
    assert len(lines) == CANDIDATES
    for line in lines:
        candidate = candidate_of(line["params"], kinds)
        assert json.dumps(candidate.to_json()) == json.dumps(line["config"])
        assert trial_id(candidate, STUDY_SEED) == line["id"]
        assert trial_seed(candidate, STUDY_SEED) == line["seed"]


@pytest.mark.parametrize("kind", WIDE)
def test_a_candidate_is_read_and_written_again_byte_for_byte(kind: str) -> None:
    for line in frozen_candidates(kind):
        candidate = candidate_from_json(line["config"])
        assert json.dumps(candidate.to_json()) == json.dumps(line["config"])
        assert trial_id(candidate, STUDY_SEED) == line["id"]


@pytest.mark.parametrize("kind", TINY)
def test_a_ledger_is_read_and_written_again_byte_for_byte(kind: str) -> None:
    path = FROZEN / kind / "trials.jsonl"
    ledger = read_ledger(path)
    assert "".join(f"{trial.to_line()}\n" for trial in ledger.trials) == path.read_text()
    assert [trial_id(candidate_from_json(t.config), STUDY_SEED) for t in ledger.trials] == [
        trial.id for trial in ledger.trials
    ]


@pytest.mark.parametrize("kind", TINY)
def test_a_tiny_study_ends_with_the_same_front(kind: str, tmp_path: Path) -> None:
    study = tiny_study(kind, tmp_path / "run")
    study.run()
    found, frozen = ((p / "front.json") for p in (study.folder.path, FROZEN / kind))
    if processor() == (FROZEN / "processor.txt").read_text().strip():
        assert found.read_text() == frozen.read_text()
    ids = {trial.id: trial for trial in read_ledger(FROZEN / kind / "trials.jsonl").trials}
    assert {trial.id for trial in study.trials} == set(ids)
    for trial in study.trials:
        assert trial.seed == ids[trial.id].seed
        assert trial.config == ids[trial.id].config
        assert trial.metrics["accuracy"] == pytest.approx(
            ids[trial.id].metrics["accuracy"], abs=0.1
        )


def freeze() -> None:
    """Write the files."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    (FROZEN / "processor.txt").write_text(f"{processor()}\n")
    for kind, settings in WIDE.items():
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(sampler=sampler)
        lines = {}
        while len(lines) < CANDIDATES:
            trial = study.ask()
            candidate = suggest_candidate(trial, TrialKinds.model_validate({kind: settings}))
            line = {
                "params": trial.params,
                "config": candidate.to_json(),
                "id": trial_id(candidate, STUDY_SEED),
                "seed": trial_seed(candidate, STUDY_SEED),
            }
            lines[line["id"]] = json.dumps(line)
        (FROZEN / f"{kind}.jsonl").write_text("".join(f"{line}\n" for line in lines.values()))
        with tempfile.TemporaryDirectory() as place:
            tiny = tiny_study(kind, Path(place) / "run")
            tiny.run()
            (FROZEN / kind).mkdir(exist_ok=True)
            for name in ("trials.jsonl", "front.json"):
                shutil.copy(tiny.folder.path / name, FROZEN / kind / name)


if __name__ == "__main__":
    freeze()
