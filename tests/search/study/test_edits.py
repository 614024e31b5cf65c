"""A study that is edited while its run goes on: what stays, is measured again, is refused."""

import copy
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import yaml

from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.pareto import parse_bound
from growsearch.report import read_run, write_report
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder
from growsearch.search.samplers.constraint_filter import ConstraintFilter, Rejected
from growsearch.search.samplers.history import prepare
from growsearch.search.study.edits import edit_of
from growsearch.search.study.progress import ProgressLine
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.record import Trial
from growsearch.trial.task import TrialTask
from search_spaces import search_space

MADE_UP: dict[str, Any] = {
    "name": "edited",
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
    "search": {"trials": 3, "seed": 1, "backend": "serial"},
}

WITH_PARAMETERS = {"accuracy": "maximize", "parameters": "minimize"}


def made_up(config: CandidateConfig, task: TrialTask, seed: int, report: Any) -> Trial:
    """Give an outcome at once: accuracy is the sparsity, MACs what is left."""
    sparsity = float(config.to_json().get("sparsity", 0.0))
    return Trial(
        id=trial_id(config, seed),
        number=0,
        kind=config.kind,
        status="finished",
        config=config.to_json(),
        seed=trial_seed(config, seed),
        metrics={"accuracy": sparsity, "macs": 1000 * (1 - sparsity)},
    )


def search(study: dict[str, Any], folder: Path) -> Study:
    found = Study(copy.deepcopy(study), folder)
    found.run(StudyOptions(run=made_up))
    return found


@pytest.fixture
def study() -> dict[str, Any]:
    return copy.deepcopy(MADE_UP)


def edited(study: dict[str, Any], trials: int | None = None, **sparse: Any) -> dict[str, Any]:
    study["trials"]["sparse"] |= sparse
    if trials is not None:
        study["search"]["trials"] = trials
    return study


def configs(run: Study, key: str) -> list[Any]:
    return [trial.config[key] for trial in run.trials]


def edits_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "edits.jsonl").read_text().splitlines()]


def test_more_epochs_are_of_new_trials_and_the_old_ones_stay(study, run_folder):
    search(study, run_folder)
    before = (run_folder / "trials.jsonl").read_bytes()
    run = search(edited(study, trials=5, epochs=4), run_folder)
    assert (run_folder / "trials.jsonl").read_bytes().startswith(before)
    assert configs(run, "epochs") == [1, 1, 1, 4, 4]
    assert "edited: trials.sparse.epochs: 1 -> 4" in run.notes
    assert any(note.startswith("3 of 3 networks are none that") for note in run.notes)
    assert (
        yaml.safe_load((run_folder / "study.yaml").read_text())["trials"]["sparse"]["epochs"] == 4
    )
    (line,) = edits_of(run_folder)
    assert line["changes"] == [{"key": "trials.sparse.epochs", "old": 1, "new": 4}]
    (note,) = read_run(run_folder).notes
    assert note.startswith("the study was edited once while its run went on")
    assert note in write_report(run_folder, ["md"])["md"].read_text()
    # The same study again is no edit.
    again = search(study, run_folder)
    assert len(again.trials) == 5
    assert not [note for note in again.notes if note.startswith("edited")]
    assert len(edits_of(run_folder)) == 1


def test_the_sampler_learns_from_what_the_edited_study_would_draw_alone(study, run_folder):
    search(study, run_folder)
    wide = edited(study, sparsity={"low": 0.3, "high": 0.95})
    config = search(wide, run_folder).config
    assert heard(config, run_folder) == 3
    # Of a narrower range some are no answers.
    sparsities = sorted(
        trial.config["sparsity"] for trial in Study(config, run_folder).trials or ()
    )
    assert sparsities == []
    ran = [json.loads(x) for x in (run_folder / "trials.jsonl").read_text().splitlines()]
    middle = sorted(line["config"]["sparsity"] for line in ran)[1]
    narrow = search(edited(wide, trials=4, sparsity={"low": 0.3, "high": middle}), run_folder)
    assert any(note.startswith("1 of 3 networks are none that") for note in narrow.notes)
    assert len(narrow.trials) == 4
    assert max(configs(narrow, "sparsity")) > middle
    assert heard(narrow.config, run_folder) == 3


def heard(config: Any, folder: Path) -> int:
    """Return of how many finished trials a sampler of the study is told."""
    study = optuna.create_study(directions=list(config.objectives.values()))
    run = RunFolder(folder)
    found = ConstraintFilter(config, None, folder)  # type: ignore[arg-type]
    prepare(study, config, Recorder(run, config.search.seed), found)
    return sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.get_trials())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"updater": "static"}, {"updater": ["static", "set"]}),
        ({"sparsity": 0.8}, {"sparsity": {"low": 0.5, "high": 0.9}}),
        ({"learning_rate": 0.1}, {"learning_rate": {"low": 0.01, "high": 0.5}}),
    ],
)
def test_a_choice_where_there_was_one_value_is_a_wider_range_too(study, run_folder, first, then):
    ran = len(search(edited(study, **first), run_folder).trials)
    run = search(edited(study, trials=ran, **then), run_folder)
    assert not [note for note in run.notes if "are none that" in note]
    assert heard(run.config, run_folder) == ran


def test_what_had_begun_goes_on_where_the_edited_study_asks_more(study, run_folder):
    search(edited(study, updater="static"), run_folder)
    ledger = run_folder / "trials.jsonl"
    lines = ledger.read_text().splitlines()
    ledger.write_text("\n".join(lines[:2]) + "\n")
    study["trials"]["growth"] = {"space": "mlp-digits", "budget": {"macs": "30%"}, "epochs": 2}
    run = search(edited(study, updater=["static", "set"]), run_folder)
    assert [trial.id for trial in run.trials] == [json.loads(line)["id"] for line in lines]


def test_a_kind_that_is_added_and_one_that_is_removed_leave_the_others(study, run_folder):
    search(study, run_folder)
    growth = {"space": "mlp-digits", "budget": {"parameters": "30%"}, "epochs": 2}
    study["trials"]["growth"] = growth
    study["search"]["trials"] = 3
    run = search(study, run_folder)
    assert any(note.startswith("edited: trials.growth: added, {") for note in run.notes)
    assert not [note for note in run.notes if "are none that" in note]
    assert heard(run.config, run_folder) == 3
    del study["trials"]["sparse"]
    run = search(study, run_folder)
    assert [trial.kind for trial in run.trials] == ["sparse"] * 3
    assert any(note.startswith("edited: trials.sparse: removed") for note in run.notes)
    assert len(run.front) > 0


def test_an_objective_that_was_recorded_is_compared_at_once(tiny, run_folder):
    del tiny["objectives"]["latency[wafer-cs2]"]
    tiny["search"]["trials"] = 2
    Study(tiny, run_folder).run()
    before = (run_folder / "trials.jsonl").read_bytes()
    tiny["objectives"] |= {"parameters": "minimize"}
    tiny["constraints"] = {"dense_macs": {"max": "1G"}}
    run = Study(tiny, run_folder)
    run.run()
    assert (run_folder / "trials.jsonl").read_bytes() == before
    assert list(run.front.directions) == ["accuracy", "macs", "parameters"]
    assert len(run.front.points) == 2
    assert "edited: objectives.parameters: added, minimize" in run.notes


def test_a_latency_is_taken_from_the_weights_and_is_what_the_trial_would_have_had(
    tiny, run_folder, tmp_path
):
    tiny["search"]["trials"] = 2
    whole = Study(copy.deepcopy(tiny), tmp_path / "whole")
    whole.run()
    wafer = tiny["objectives"].pop("latency[wafer-cs2]")
    Study(copy.deepcopy(tiny), run_folder).run()
    tiny["objectives"]["latency[wafer-cs2]"] = wafer
    run = Study(tiny, run_folder)
    run.run()
    assert "2 networks are measured again from their weights" in run.notes
    name = "latency[wafer-cs2]"
    expected = {t.id: (t.metrics[name], t.latency["wafer-cs2"].to_json()) for t in whole.trials}
    found = {t.id: (t.metrics[name], t.latency["wafer-cs2"].to_json()) for t in run.trials}
    assert found.keys() == expected.keys()
    assert found == expected
    assert [t.layers for t in run.trials] == [t.layers for t in whole.trials]
    kept = read_run(run_folder)
    # In the order in which they finished, and nothing is odd about it.
    assert [t.id for t in kept.trials] == [t.id for t in run.trials]
    assert not [note for note in kept.notes if "comes again" in note]
    assert len((run_folder / "trials.jsonl").read_text().splitlines()) == 4
    Study(tiny, run_folder).run()
    assert len((run_folder / "trials.jsonl").read_text().splitlines()) == 4


def test_a_profile_may_come_with_a_latency_that_no_trial_has(study, run_folder, tmp_path):
    search(study, run_folder)
    config = Study(copy.deepcopy(study), run_folder).config
    given = config.model_copy(update={"profiles": {"cpu": tmp_path / "cpu.json"}})
    with pytest.raises(UsageError, match=r"objectives\.parameters"):
        # It is no other study: what is refused is the objective that nothing tells.
        edit_of(RunFolder(run_folder), given.model_copy(update={"objectives": WITH_PARAMETERS}))
    edit = edit_of(RunFolder(run_folder), given)
    assert edit is not None
    assert [key for key, _, _ in edit.changes] == ["profiles.cpu"]
    ledger = run_folder / "trials.jsonl"
    first, *rest = ledger.read_text().splitlines()
    measured = json.loads(first)
    measured["metrics"]["latency[cpu]"] = 0.001
    ledger.write_text("\n".join([json.dumps(measured), *rest]) + "\n")
    with pytest.raises(UsageError, match="another study: profiles"):
        edit_of(
            RunFolder(run_folder),
            given.model_copy(update={"objectives": {"macs": "minimize", "accuracy": "maximize"}}),
        )


def test_a_network_whose_weights_are_gone_is_named(tiny, run_folder):
    del tiny["objectives"]["latency[wafer-cs2]"]
    tiny["search"]["trials"] = 1
    run = Study(copy.deepcopy(tiny), run_folder)
    run.run()
    (trial,) = run.trials
    (run_folder / "trials" / trial.id / "weights.safetensors").unlink()
    tiny["objectives"]["latency[wafer-cs2]"] = "minimize"
    with pytest.raises(UsageError, match=f"trial {trial.id} cannot be measured again"):
        Study(tiny, run_folder).run()
    # Nothing was written of it: the study of before goes on.
    assert not (run_folder / "edits.jsonl").exists()
    assert "wafer" not in (run_folder / "study.yaml").read_text()


def test_what_no_trial_recorded_is_refused_with_the_remedy(study, run_folder):
    search(study, run_folder)
    study["objectives"]["parameters"] = "minimize"
    with pytest.raises(
        UsageError, match=r"objectives\.parameters: 3 of 3 finished trials .* --fresh"
    ):
        search(study, run_folder)
    del study["objectives"]["parameters"]
    edited(study, epochs=7)
    study["subset"] = 50
    with pytest.raises(UsageError, match="another study: subset"):
        search(study, run_folder)
    # Nothing was written of an edit that was refused.
    assert not (run_folder / "edits.jsonl").exists()
    kept = yaml.safe_load((run_folder / "study.yaml").read_text())
    assert "parameters" not in kept["objectives"]


def test_another_order_of_the_objectives_is_another_choice(study, run_folder):
    first = search(study, run_folder)
    study["objectives"] = {"macs": "minimize", "accuracy": "maximize"}
    study["select"] = {"prefer": "accuracy"}
    second = search(study, run_folder)
    assert "edited: objectives: accuracy, macs -> macs, accuracy" in second.notes
    kept = yaml.safe_load((run_folder / "study.yaml").read_text())
    assert list(kept["objectives"]) == ["macs", "accuracy"]
    assert next(iter(first.front.directions)) == "accuracy"
    assert next(iter(second.front.directions)) == "macs"


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"epochs": 8}, True),
        ({"sparsity": {"low": 0.5, "high": 0.6}}, True),
        ({"sparsity": {"low": 0.2, "high": 0.9}}, False),
    ],
)
def test_with_early_stopping_only_what_leaves_all_trials_in_the_study(
    study, run_folder, change, refused
):
    edited(study, epochs=4)
    study["search"]["stop_early"] = {"first": 1}
    search(study, run_folder)
    edited(study, **change)
    if not refused:
        search(study, run_folder)
        return
    with pytest.raises(UsageError, match=r"stop_early compares.*warm_start: \[.*run\]"):
        search(study, run_folder)


def test_what_was_stopped_counts_for_early_stopping_as_what_finished_does(study, run_folder):
    edited(study, epochs=4)
    study["search"]["stop_early"] = {"first": 1}
    search(study, run_folder)
    ledger = run_folder / "trials.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    lines.sort(key=lambda line: line["config"]["sparsity"])
    lines[2] |= {"status": "stopped", "rungs": [{"epoch": 1, "values": {"accuracy": 0.1}}]}
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    most = lines[1]["config"]["sparsity"]
    with pytest.raises(UsageError, match="stop_early compares"):
        search(edited(study, sparsity={"low": 0.5, "high": most}), run_folder)


def test_baselines_of_before_are_not_counted_and_one_s_own_is_not_taken_twice(
    study, run_folder, tmp_path
):
    net = build_full(search_space("mlp-digits"), 3)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    study["baselines"] = ["mine", "dense"]
    search(edited(study, init=str(tmp_path / "net.pth")), run_folder)
    run = search(edited(study, trials=5, epochs=4), run_folder)
    assert [t.config.get("which") for t in run.trials] == [
        *("mine", "dense", None, None, None),
        *("dense", None, None),
    ]
    assert [t.config["epochs"] for t in run.trials][5:] == [4, 4, 4]
    assert ProgressLine(run.config, Recorder(run.folder, 1)).text().startswith("8/8 trials")


def test_a_device_that_is_not_here_is_refused_before_the_edit_is_written(
    study, run_folder, monkeypatch
):
    search(study, run_folder)
    before = (run_folder / "study.yaml").read_bytes()
    study["objectives"]["latency[cpu]"] = "minimize"
    again = Study(copy.deepcopy(study), run_folder)
    with pytest.raises(UsageError, match=r"latency\[cpu\].*cluster's.*profiles: \{cpu: FILE"):
        edit_of(again.folder, again.config, on_cluster=True)
    monkeypatch.setattr(
        "growsearch.search.study.latency_profiles.unavailable", lambda _: "there is none"
    )
    with pytest.raises(UsageError, match=r"latency\[cpu\] cannot be measured here: there is none"):
        search(study, run_folder)
    assert not (run_folder / "edits.jsonl").exists()
    assert (run_folder / "study.yaml").read_bytes() == before


def test_what_had_begun_and_is_no_more_of_the_study_is_left(study, run_folder):
    search(study, run_folder)
    ledger = run_folder / "trials.jsonl"
    lines = ledger.read_text().splitlines()
    ledger.write_text("\n".join(lines[:2]) + "\n")
    open_id = json.loads(lines[2])["id"]
    run = search(edited(study, trials=4, epochs=4), run_folder)
    assert any(note.startswith("1 trials that had begun are not") for note in run.notes)
    assert open_id not in [trial.id for trial in run.trials]
    # Back as it was: the two of four epochs stay, and it is gone on with.
    run = search(edited(study, trials=5, epochs=1), run_folder)
    assert open_id in [trial.id for trial in run.trials]


def test_what_constraints_rejected_is_judged_anew(study, run_folder):
    study["constraints"] = {"macs": {"max": 12_000}}
    run = search(study, run_folder)
    found = ConstraintFilter(run.config, None, run_folder)  # type: ignore[arg-type]
    lost = Rejected(id="0123456789", candidate=dict(run.trials[0].config), excess={"macs max": 9.0})
    found.reject(lost)
    assert list(ConstraintFilter(run.config, None, run_folder).rejected) == [lost.id]  # type: ignore[arg-type]
    study["constraints"] = {"macs": {"max": 13_000}}
    run = search(study, run_folder)
    again = ConstraintFilter(run.config, None, run_folder)  # type: ignore[arg-type]
    assert again.rejected == {}
    again.reject(lost)
    again.reject(lost)
    assert len((run_folder / "rejected.jsonl").read_text().splitlines()) == 1
    assert run.config.bounds() == (parse_bound("macs=13000", "max"),)


def test_a_crash_between_the_edit_and_the_study_loses_nothing(study, run_folder, monkeypatch):
    search(study, run_folder)
    edited(study, trials=4, epochs=4)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("growsearch.search.ledger.run_folder.RunFolder._renew", crash)
        with pytest.raises(KeyboardInterrupt):
            search(study, run_folder)
    run = search(study, run_folder)
    assert configs(run, "epochs") == [1, 1, 1, 4]
    first, second = (line["changes"] for line in edits_of(run_folder))
    assert first == second
