"""Baselines of a study: the person's network as it is, dense, uniform; told beside the choice."""

from pathlib import Path
from typing import Any

import pytest
import torch

from growsearch import Study
from growsearch.datasets import load_dataset, subset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.kinds.baseline.candidate import BaselineCandidate
from growsearch.metrics import accuracy, predict
from growsearch.pareto import Wishes
from growsearch.report import choice_lines, choose, read_run, study_choice, write_report
from growsearch.search.config.file import parse_study
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.baselines import baseline_candidates
from growsearch.search.study.progress import ProgressLine
from growsearch.training import Recipe, task_of, train
from search_spaces import search_space

DATA = subset(load_dataset("digits"), train=256, validation=300, test=300)


def _study(folder: Path, **more: Any) -> dict[str, Any]:
    net = build_full(search_space("mlp-digits"), 3)
    train(net, task_of(DATA), Recipe(epochs=2), seed=0, forward_macs=1)
    torch.save(net.state_dict(), folder / "net.pth")
    budget = {"macs": ["30%", "50%"]}
    trials = {
        "prune": {
            "space": "mlp-digits",
            "init": str(folder / "net.pth"),
            "budget": budget,
            "epochs": 1,
            "steps": 1,
            "distillation": 0,
        }
    }
    return {
        "name": "beside",
        "dataset": "digits",
        "subset": 256,
        "trials": trials,
        "baselines": ["mine", "dense", "uniform"],
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 2, "seed": 1, "backend": "serial", "sampler": "tpe"},
        **more,
    }


def test_baselines_come_first_beside_the_study_s_own_trials_and_are_told(tmp_path: Path) -> None:
    data, folder = _study(tmp_path), tmp_path / "run"
    study = Study(data, folder)
    study.run()
    assert all(trial.finished for trial in study.trials), [t.error for t in study.trials]
    which = [trial.config.get("which") for trial in study.trials]
    assert which == ["mine", "dense", "uniform", "uniform", None, None]
    mine, dense, narrow, *_ = study.trials
    assert mine.metrics["training_macs"] == 0
    wanted = torch.load(tmp_path / "net.pth", weights_only=True)
    module = study.load(mine.id)
    assert all(torch.equal(value, wanted[key]) for key, value in module.state_dict().items())
    found = accuracy(predict(module, DATA.validation.inputs), DATA.validation.labels)
    assert mine.metrics["accuracy"] == found
    assert dense.metrics["macs"] == mine.metrics["macs"]
    assert narrow.metrics["macs"] <= 0.3 * mine.metrics["macs"]
    again = Study(data, folder)
    again.run()
    assert [trial.id for trial in again.trials] == [trial.id for trial in study.trials]
    recorder = Recorder(again.folder, seed=again.config.search.seed)
    assert ProgressLine(again.config, recorder).text().startswith("6/6 trials")

    run = read_run(folder)
    lines = "\n".join(choice_lines(choose(run, Wishes(ties="highest"))))
    assert mine.id in lines
    write_report(folder)
    text = (folder / "report.md").read_text()
    assert "## Baselines" in text
    assert "baseline: mine, as it is" in text
    assert "baseline: uniform widths, trained, 30 % of MACs" in text
    page = (folder / "report.html").read_text()
    assert "baseline: mine, as it is" in page


def test_a_choice_says_what_it_gains_over_mine(tmp_path: Path) -> None:
    study = Study(_study(tmp_path, baselines=["mine"]), tmp_path / "run")
    study.run()
    run = read_run(tmp_path / "run")
    front = run.front()
    (mine,) = [trial for trial in run.trials if trial.kind == "baseline"]
    small = min(front.members, key=lambda member: member.values["macs"])
    chosen = choose(run, Wishes(prefer="weights", weights={"macs": 1.0}))
    assert chosen.chosen is not None
    lines = choice_lines(chosen)
    (line,) = [line for line in lines if "beside mine" in line]
    share = 100 * chosen.chosen.metrics["macs"] / mine.metrics["macs"]
    gain = 100 * (chosen.chosen.metrics["accuracy"] - mine.metrics["accuracy"])
    assert f"Accuracy {gain:+.2f} points" in line
    assert f"{share:.0f} %" in line
    assert small.values["macs"] < mine.metrics["macs"]


def test_a_baseline_that_no_kind_has_what_it_takes_for_is_refused(tmp_path: Path) -> None:
    sparse = {"space": "mlp-digits", "transform": "none", "sparsity": 0.5, "epochs": 1}
    for which, said in (("mine", "give a kind of trial init"), ("uniform", "has the budgets of")):
        data = _study(tmp_path, trials={"sparse": sparse}, baselines=[which])
        with pytest.raises(UsageError, match=rf"baselines: {which} .*{said}"):
            Study(data, tmp_path / which).run()
    with pytest.raises(UsageError, match="baselines"):
        Study(_study(tmp_path, baselines=["best"]), tmp_path / "none")


def test_one_s_own_network_is_one_however_many_kinds_begin_with_it(tmp_path: Path) -> None:
    data = _study(tmp_path)
    init = data["trials"]["prune"]["init"]
    sparse = {"space": "mlp-digits", "init": init, "transform": "none", "sparsity": 0.5}
    data["trials"]["sparse"] = {**sparse, "distribution": "erk", "updater": "static", "epochs": 3}
    data["trials"]["growth"] = {"space": "mlp-digits", "budget": {"macs": "30%"}, "epochs": 2}
    found = [(each.which, each.init, each.budget) for each in _candidates(data)]
    assert len(found) == len(set(found))
    assert [which for which, _, _ in found].count("mine") == 1
    # Growth's dense network is drawn, the others' goes on with the weights.
    assert [which for which, _, _ in found].count("dense") == 2
    assert [which for which, _, _ in found].count("uniform") == 2


def test_uniform_widths_have_a_rate_for_fresh_weights_and_not_that_of_pruning(
    tmp_path: Path,
) -> None:
    data = _study(tmp_path)
    rates = {each.which: each.training.learning_rate for each in _candidates(data)}
    # The dense one goes on with the weights that are given.
    assert rates["uniform"] == pytest.approx(0.1)
    assert rates["dense"] == pytest.approx(0.01)
    data["trials"]["prune"]["learning_rate"] = 0.03
    rates = {each.which: each.training.learning_rate for each in _candidates(data)}
    assert (rates["uniform"], rates["dense"]) == (0.1, 0.03)


def _candidates(data: dict[str, Any]) -> tuple[BaselineCandidate, ...]:
    return baseline_candidates(parse_study(data))


def test_a_choice_far_behind_one_s_own_network_says_so_and_why(tmp_path: Path) -> None:
    data = _study(tmp_path, select={"max": {"macs": "40%"}})
    data["baselines"] = ["mine"]
    # Nothing is learned by so little; what is left of the network is far behind it.
    data["trials"]["prune"] |= {"budget": {"macs": "10%"}, "learning_rate": 1e-9}
    data["search"]["trials"] = 1
    data["select"] = {"max": {"macs": 20_000}}
    study = Study(data, tmp_path / "run")
    study.run()
    mine, pruned = study.trials
    lost = 100 * (mine.metrics["accuracy"] - pruned.metrics["accuracy"])
    assert lost > 5
    run = read_run(tmp_path / "run")
    text = " ".join(" ".join(choice_lines(study_choice(run))).split())
    assert f"your own network ({mine.id}) is {lost:.1f} points more accurate than the" in text
    assert "it is outside macs <= 20" in text
    assert max(map(len, choice_lines(study_choice(run)))) <= 80
    # Where one's own is taken, nothing is better.
    free = choice_lines(choose(run, Wishes(ties="highest")))
    assert "more accurate than the choice" not in " ".join(free)


def test_the_card_of_one_s_own_network_claims_no_training(tmp_path: Path) -> None:
    data = _study(tmp_path)
    data["baselines"] = ["mine"]
    data["search"]["trials"] = 1
    study = Study(data, tmp_path / "run")
    study.run()
    mine, pruned = study.trials
    study.export(mine.id, tmp_path / "mine")
    card = (tmp_path / "mine" / "MODEL_CARD.md").read_text()
    assert "as it was given to growsearch" in card
    assert "taken as it is" in card
    assert "learning_rate" not in card
    study.export(pruned.id, tmp_path / "pruned")
    card = (tmp_path / "pruned" / "MODEL_CARD.md").read_text()
    assert "found by growsearch among 2 finished trials" in card
    assert "learning_rate" in card
