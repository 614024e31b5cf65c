import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import load_file

from growsearch.datasets import load_dataset
from growsearch.errors import UsageError
from growsearch.kinds import (
    DataChoice,
    ForecastContext,
    RecipeChoice,
    TicketCandidate,
    candidate_from_json,
    forecast,
    suggest_candidate,
)
from growsearch.kinds.artifact_cache import cached
from growsearch.report import describe
from growsearch.search.config.file import parse_study
from growsearch.search.samplers.replay import params_of
from growsearch.search.study.study import Study
from growsearch.tickets import read_pretrained, read_ticket
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask

TICKETS = {
    "space": "mlp-digits",
    "source": "digits",
    "scheme": ["omp", "a-imp", "lmp"],
    "sparsity": [0.7, 0.9],
    "robustness": ["natural", "pgd"],
    "epsilon": "8/255",
    "attack_steps": 1,
    "pretrain_epochs": 1,
    "draw_epochs": 1,
    "rounds": 1,
    "mode": ["finetune", "linear"],
    "epochs": 1,
}
STUDY = {
    "name": "tickets",
    "dataset": "digits",
    "trials": {"tickets": TICKETS},
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"sampler": "random", "trials": 4, "seed": 1, "backend": "serial"},
}
TRIAL = TicketCandidate(
    space="mlp-digits",
    scheme="lmp",
    sparsity=0.8,
    source="digits",
    pretrain_epochs=1,
    draw_epochs=1,
    training=RecipeChoice(epochs=1),
)


def test_a_study_of_tickets_resumes_and_the_same_seed_gives_the_same_front(tmp_path: Path) -> None:
    whole = Study(STUDY, tmp_path / "whole").run()
    less = {**STUDY, "search": {**STUDY["search"], "trials": 2}}
    Study(less, tmp_path / "parts").run()
    again = Study(STUDY, tmp_path / "parts")
    assert again.run().points == whole.points
    assert again.resumed_trials == 2
    trials = read_ledger(tmp_path / "parts" / "trials.jsonl").trials
    assert [trial.status for trial in trials] == ["finished"] * 4
    kinds = {trial.config["robustness"] for trial in trials}
    pretrained = list((tmp_path / "parts" / "shared").glob("pretrained-*.safetensors"))
    assert len(pretrained) == len(kinds)
    assert not list((tmp_path / "parts" / "shared").glob("*.part*"))


def test_a_trial_leaves_a_ticket_that_lies_on_the_run_s_pretrained_weights(tmp_path: Path) -> None:
    trial = _run(TRIAL, tmp_path)
    assert trial.status == "finished", trial.error
    folder = tmp_path / "trials" / trial.id
    ticket = read_ticket(folder / "ticket.safetensors")
    (file,) = (tmp_path / "shared").glob("pretrained-*.safetensors")
    masks = ticket.apply(read_pretrained(file).model)
    assert masks.zeros == ticket.zeros == round(0.8 * (64 * 256 + 256 * 256))
    weights = load_file(folder / "weights.safetensors")
    for name, mask in ticket.masks.items():
        assert not bool(weights[name][~mask].any())
    # Two hidden layers on one row, and a dense classifier: a MAC a weight.
    backbone = 64 * 256 + 256 * 256
    assert trial.metrics["macs"] == backbone - ticket.zeros + 2560
    assert trial.metrics["dense_macs"] == backbone + 2560
    found = forecast(
        TRIAL, ForecastContext(dataset=load_dataset("digits"), devices={}, seed=trial.seed)
    )
    assert found is not None
    assert found.metrics["parameters"] >= trial.metrics["parameters"]
    assert found.metrics["dense_macs"] == trial.metrics["dense_macs"]


def test_a_trial_pays_for_its_ticket_also_where_it_finds_it_made(tmp_path: Path) -> None:
    first = _run(TRIAL, tmp_path)
    other = dataclasses.replace(TRIAL, mode="linear")
    found, made = _run(other, tmp_path), _run(other, tmp_path / "alone")
    assert found.metrics == made.metrics
    assert found.metrics["training_macs"] < first.metrics["training_macs"]
    files = [
        tmp_path / part / "trials" / found.id / "weights.safetensors" for part in ("", "alone")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_damaged_shared_file_is_made_again(tmp_path: Path) -> None:
    first = _run(TRIAL, tmp_path)
    for file in (tmp_path / "shared").glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    assert _run(TRIAL, tmp_path).metrics == first.metrics


def test_shared_work_that_is_there_is_not_done_again(tmp_path: Path) -> None:
    calls = []

    def make(checkpoint: Path) -> None:
        calls.append(checkpoint.name)
        (tmp_path / "thing.safetensors").write_text("made")

    found = [cached(tmp_path / "thing.safetensors", make, Path.read_text) for _ in range(2)]
    assert found == ["made", "made"]
    assert calls == ["thing.part.safetensors"]


def test_two_who_need_the_same_work_do_it_once(tmp_path: Path) -> None:
    calls, under_way, may_end = [], threading.Event(), threading.Event()
    path = tmp_path / "thing.safetensors"

    def make(checkpoint: Path) -> None:
        calls.append(checkpoint)
        under_way.set()
        assert may_end.wait(60)
        path.write_text("made")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached, path, make, Path.read_text)
        assert under_way.wait(60)
        second = pool.submit(cached, path, make, Path.read_text)
        may_end.set()
        assert (first.result(60), second.result(60)) == ("made", "made")
    assert len(calls) == 1


def test_a_ticket_trial_survives_json_and_its_answers_lead_back_to_it() -> None:
    kinds = parse_study(STUDY).trials
    written = {
        "scheme": "a-imp",
        "sparsity": 0.9,
        "robustness": "natural",
        "mode": "linear",
    }
    params = params_of(written, kinds)
    candidate = suggest_candidate(_Fixed(params), kinds)
    assert isinstance(candidate, TicketCandidate)
    assert candidate.epsilon == pytest.approx(8 / 255)
    assert candidate.drawing().robustness.kind == "pgd"
    assert candidate_from_json(json.loads(json.dumps(candidate.to_json()))) == candidate
    assert params_of(candidate.to_json(), kinds) == params


def test_what_a_scheme_does_not_use_does_not_make_another_trial() -> None:
    kinds = parse_study(STUDY).trials
    written = {"scheme": "omp", "sparsity": 0.7, "robustness": "natural", "mode": "finetune"}
    candidate = suggest_candidate(_Fixed(params_of(written, kinds)), kinds)
    assert isinstance(candidate, TicketCandidate)
    assert (candidate.epsilon, candidate.draw_epochs, candidate.rounds) == (0, 0, 0)


def test_a_point_in_the_study_is_a_ticket_to_start_with(tmp_path: Path) -> None:
    point = {"scheme": "omp", "sparsity": 0.9, "robustness": "natural", "mode": "linear"}
    search = {**STUDY["search"], "trials": 1, "points_to_evaluate": [point]}
    study = Study({**STUDY, "search": search}, tmp_path / "run")
    study.run()
    assert describe.describe_trial(study.trials[0]) == "mlp-digits, 90 % sparse, omp ticket, linear"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": None}, "epsilon is missing"),
        ({"epsilon": "300/255"}, r"not in \(0, 1\]"),
        ({"scheme": "omp", "robustness": "natural"}, "tickets.epsilon: natural"),
        ({"scheme": "snip"}, "valid: omp, imp, a-imp, lmp"),
        ({"granularity": "block"}, "valid: unstructured, row, kernel, channel"),
        ({"source": "mnist"}, "unknown data set 'mnist'"),
        ({"norm": 3}, "valid: inf, 2"),
    ],
)
def test_a_wrong_study_of_tickets_says_what_is_wrong(changes, message) -> None:
    with pytest.raises(UsageError, match=message):
        parse_study({**STUDY, "trials": {"tickets": {**TICKETS, **changes}}})


def test_a_source_without_its_files_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    tickets = {**TICKETS, "source": "fashion-mnist"}
    with pytest.raises(UsageError, match=r"trials\.tickets\.source: data_dir"):
        Study({**STUDY, "trials": {"tickets": tickets}}, tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


class _Fixed:
    """An Optuna trial that is asked what is known."""

    def __init__(self, params) -> None:
        self._params = params

    def suggest_categorical(self, name, choices):
        assert self._params[name] in choices
        return self._params[name]

    def suggest_int(self, name, low, high, *, log=False):
        return self._params[name]

    def suggest_float(self, name, low, high, *, log=False):
        return self._params[name]


def _run(config: TicketCandidate, folder: Path):
    task = TrialTask(data=DataChoice(name="digits", folder=None), devices=(), folder=folder)
    return run_trial(config, task, number=0, study_seed=0, report=lambda _: None)
