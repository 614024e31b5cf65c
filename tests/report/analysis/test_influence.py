"""Influence of settings: what made a difference is found, and what did not is not."""

import dataclasses
import json
import random

import pytest

from growsearch.report import read_run
from growsearch.report.analysis.influence import influences
from growsearch.report.analysis.setting_columns import setting_columns


def write(folder, study, configs, accuracy, latency=lambda config: 1e-3):
    lines = []
    for number, config in enumerate(configs):
        line = {
            "id": f"t{number:04d}",
            "number": number,
            "kind": config["kind"],
            "status": "finished",
            "config": config,
            "seed": number,
            "metrics": {"accuracy": accuracy(config), "latency[cpu]": latency(config)},
        }
        lines.append(json.dumps(line))
    objectives = {"accuracy": "maximize", "latency[cpu]": "minimize"}
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(json.dumps({"name": "x", "objectives": objectives}))
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n")
    return read_run(folder)


def draws(count, seed=0):
    draw = random.Random(seed)
    return [
        {
            "kind": "sparse",
            "sparsity": draw.uniform(0.5, 0.9),
            "updater": draw.choice(["rigl", "set", "static"]),
            "budget": {"macs": draw.random()},
            "epochs": 3,
        }
        for _ in range(count)
    ]


def test_the_setting_that_alone_decides_has_all_the_importance(tmp_path, study):
    run = write(
        tmp_path,
        study,
        draws(80),
        lambda c: 1 - c["sparsity"] / 2,
        lambda c: 1e-3 * (1 + 10 * c["budget"]["macs"]),
    )
    accuracy, latency = influences(run).metrics
    assert (accuracy.metric, accuracy.trials) == ("accuracy", 80)
    assert accuracy.explained > 0.9
    assert accuracy.settings[0][0] == "sparsity"
    assert accuracy.settings[0][1] > 1.0  # Shuffled values are worse than the mean.
    assert all(abs(mean) < 0.1 for _, mean, _ in accuracy.settings[1:])
    assert latency.settings[0][0] == "budget.macs"
    # What never changes is no setting that can make a difference.
    assert {name for name, *_ in accuracy.settings} == {"sparsity", "updater", "budget.macs"}


def test_chance_is_not_taken_for_influence(tmp_path, study):
    draw = random.Random(1)
    run = write(tmp_path, study, draws(60), lambda _: draw.random())
    (accuracy,) = influences(run).metrics
    assert accuracy.explained < 0.1


def test_names_of_a_choice_matter_as_numbers_do(tmp_path, study):
    worth = {"rigl": 0.9, "set": 0.2, "static": 0.7}
    run = write(tmp_path, study, draws(60), lambda c: worth[c["updater"]])
    assert influences(run).metrics[0].settings[0][0] == "updater"


def test_a_setting_of_one_kind_does_not_take_the_importance_of_the_kind(tmp_path, study):
    grown = [{"kind": "growth", "share": random.Random(i).random()} for i in range(30)]
    run = write(tmp_path, study, draws(30) + grown, lambda c: 0.9 if c["kind"] == "growth" else 0.5)
    first, second, *_ = influences(run).metrics[0].settings
    assert first[0] == "kind"
    assert first[1] > 5 * abs(second[1])


@pytest.mark.parametrize("count", [0, 1, 11])
def test_of_few_trials_nothing_is_said(tmp_path, study, count):
    run = write(tmp_path, study, draws(count), lambda c: c["sparsity"])
    assert influences(run).metrics == ()


def test_baselines_are_not_counted_and_a_run_tells_the_same_twice(tmp_path, study):
    baselines = [{"kind": "baseline", "which": "dense", "learning_rate": i / 10} for i in range(5)]
    run = write(tmp_path, study, draws(20) + baselines, lambda c: c.get("sparsity", 9.0))
    found = influences(run)
    assert found.metrics[0].trials == 20
    assert "learning_rate" not in {column.name for column in found.columns}
    assert dataclasses.asdict(influences(read_run(tmp_path)).metrics[0]) == dataclasses.asdict(
        found.metrics[0]
    )


def test_columns_tell_none_from_numbers_and_names_apart(tmp_path, study):
    configs = [
        {"kind": "sparse", "a": 1, "mixed": 1, "many": f"x{i}", "flag": i % 2 == 0, "each": i}
        for i in range(40)
    ]
    configs += [{"kind": "growth", "a": 2, "mixed": "text", "many": "x", "flag": True, "own": 7}]
    run = write(tmp_path, study, configs, lambda _: 0.5)
    columns = {column.name: column for column in setting_columns(run.finished)}
    # "a", "mixed" and "own" only follow the kind; "many" are no names that a study writes.
    assert set(columns) == {"kind", "flag", "each"}
    assert columns["flag"].categories == ("false", "true")
    assert columns["each"].values[:3] == (0.0, 1.0, 2.0)
    assert columns["each"].values[-1] is None
