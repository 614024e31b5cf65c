"""Growth trials of a study do what `growsearch grow` does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from growsearch import Study
from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.kinds.domain import values_of
from growsearch.kinds.growth.space import GrowthSpace
from growsearch.reading.strict_yaml import write_yaml
from growsearch.search.config.file import load_study


def _study(growth: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "grown",
        "dataset": "digits",
        "subset": 300,
        "trials": {"growth": {"space": "mlp-digits", "epochs": 2, **growth}},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 3, "seed": 1, "backend": "serial", "sampler": "random"},
        **more,
    }


def test_a_latency_budget_is_searched_and_its_device_is_asked_once(tmp_path: Path) -> None:
    budget = {"latency[wafer-cs2]": {"low": "30%", "high": "80%"}}
    study = Study(_study({"budget": budget}), tmp_path / "run")
    study.run()
    assert [trial.status for trial in study.trials] == ["finished"] * 3
    for trial in study.trials:
        assert trial.metrics["budget_cost"] <= trial.metrics["budget_limit"]
        assert list(trial.config["budget"]) == ["latency[wafer-cs2]"]
    assert len(list((tmp_path / "run").glob("shared/latency-*.json"))) == 1
    assert len({trial.metrics["macs"] for trial in study.trials}) > 1


def test_policies_and_widths_are_choices_of_a_search(tmp_path: Path) -> None:
    growth = {
        "budget": {"macs": "30%"},
        "policy": ["learned", "random-order", "uniform"],
        "width_multiple": 8,
        "optimizer": "adamw",
        "learning_rate": 0.01,
    }
    study = Study(_study(growth), tmp_path / "run")
    study.run()
    assert {trial.status for trial in study.trials} == {"finished"}, study.trials
    assert len({trial.config.get("policy", "learned") for trial in study.trials}) > 1
    for trial in study.trials:
        assert trial.config["optimizer"] == "adamw"
        widths = [len(p) for p in study.load(trial.id).state_dict().values() if p.ndim == 2]
        assert all(width % 8 == 0 for width in widths[:-1])


def test_threads_are_the_study_s(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        study = Study(
            _study({"budget": {"macs": "30%"}}, training={"threads": 2}), tmp_path / "run"
        )
        study.run()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("growth", "words"),
    [
        ({"device_batch": 8}, ["device_batch = 8", "parameters or macs"]),
        ({"policy": "learned", "steering": "taylor"}, ["steering", "allocation: fisher"]),
        ({"policy": "learned", "steering": ["task", "normalised"]}, ["growth.steering = ", "0027"]),
        ({"policy": "uniform", "relaxation": "gumbel"}, ["relaxation", "policy: learned"]),
        ({"policy": "uniform", "birth": "gradient"}, ["birth", "random-order"]),
        ({"steering_strength": 0.5}, ["steering_strength", "normalised and taylor"]),
        ({"freeze_at": 0}, ["freeze_at", "(0, 1]"]),
        ({"width_multiple": 0}, ["width_multiple", "above 0"]),
        ({"epochs": 1}, ["epochs", "at least 2"]),
    ],
)
def test_keys_that_change_nothing_or_cannot_be_are_refused(
    growth: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UsageError) as refusal:
        Study(_study({"budget": {"macs": "30%"}, **growth}))
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_a_subset_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    study = _study({"budget": {"macs": "30%"}}) | {"subset": 100_000}
    with pytest.raises(UsageError, match="subset: 100000 is more than"):
        Study(study, tmp_path / "run").run()


def test_a_reading_of_text_needs_a_text() -> None:
    with pytest.raises(UsageError, match=r"text = .*: digits is no text"):
        Study(_study({"budget": {"macs": "30%"}}, text={"carried": True}))


def test_the_study_of_a_run_with_steerings_of_before_is_read(tmp_path: Path) -> None:
    before = _study({"budget": {"macs": "30%"}, "policy": "learned", "steering": "taylor"})
    file = tmp_path / "study.yaml"
    file.write_text(write_yaml(before))
    with pytest.raises(UsageError, match="no longer offered"):
        load_study(file)
    of_run = load_study(file, run=True)
    growth = of_run.trials["growth"]
    assert isinstance(growth, GrowthSpace)
    assert values_of(growth.steering) == ("taylor",)
    run = Study(of_run, tmp_path / "run")
    run.run()
    assert {trial.config["steering"] for trial in run.trials} == {"taylor"}
    result = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["select", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output


def test_valid_keys_are_those_that_people_may_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        Study(_study({"budget": {"macs": "30%"}, "steerings": "taylor"}))
    message = str(refusal.value)
    assert "growth.steerings: unknown key" in message
    assert {"policy", "stage_epochs", "init"} <= set(message.replace(",", "").split())
    assert not {"steering", "steering_strength", "init_file"} & set(
        message.replace(",", "").split()
    )
