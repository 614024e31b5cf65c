import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from growsearch.errors import UsageError
from growsearch.kinds import Network, candidate_from_json, trial_id
from growsearch.report import read_run
from growsearch.report.markdown import render_markdown
from growsearch.search.backends import serial as serial_backend
from growsearch.search.study.study import Study
from growsearch.trial.ledger_file import read_ledger


def test_the_same_study_and_seed_give_the_same_front_file_bit_for_bit(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        front = Study(tiny, tmp_path / name).run()
        assert len(front) >= 1
    first, second = ((tmp_path / name / "front.json").read_bytes() for name in ("a", "b"))
    assert first == second


def test_a_run_folder_explains_itself_and_every_network_in_it_builds(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    from safetensors.torch import load_file

    study = Study(tiny, run_folder)
    study.run()
    resolved = yaml.safe_load((run_folder / "study.yaml").read_text())
    assert resolved["provenance"]["versions"]["torch"]
    assert {trial.kind for trial in study.trials} <= {"growth", "sparse"}
    assert len(study.trials) == 4
    for trial in study.trials:
        assert trial.finished, trial.error
        folder = run_folder / "trials" / trial.id
        network = Network.from_json(json.loads((folder / "architecture.json").read_text()))
        assert network.hash == trial.network_hash
        network.build().load_state_dict(load_file(folder / "weights.safetensors"))
        assert trial.id == trial_id(candidate_from_json(trial.config), 3)
        assert (folder / "history.csv").read_text().startswith("epoch,loss,accuracy")


def test_a_finished_run_resumes_without_training_anything(
    tiny: dict[str, Any], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Study(tiny, run_folder).run()
    before = (run_folder / "trials.jsonl").read_bytes()
    front = (run_folder / "front.json").read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a trial ran again")

    monkeypatch.setattr(serial_backend, "run_to_its_end", refuse)
    again = Study(tiny, run_folder)
    again.run()
    assert again.resumed_trials == 4
    assert (run_folder / "trials.jsonl").read_bytes() == before
    assert (run_folder / "front.json").read_bytes() == front


def test_more_trials_extend_a_run_and_keep_what_is_there(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"]["trials"] = 2
    first = Study(tiny, run_folder)
    first.run()
    tiny["search"]["trials"] = 3
    second = Study(tiny, run_folder)
    second.run()
    assert second.resumed_trials == 2
    assert [t.id for t in second.trials][:2] == [t.id for t in first.trials]
    assert len(second.trials) == 3


def test_a_changed_study_is_not_mixed_into_an_old_run(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"]["trials"] = 1
    Study(tiny, run_folder).run()
    tiny["search"]["sampler"] = "random"
    with pytest.raises(
        UsageError, match=r"another study: search\.sampler was .* is 'random' now.*--fresh"
    ) as refusal:
        Study(tiny, run_folder).run()
    # What it offers is what a study may say, and the new run learns.
    line = re.search(r"with (search: \{warm_start: .*\}) the new run", str(refusal.value))
    assert line is not None
    tiny["search"] |= yaml.safe_load(line[1])["search"]
    assert Study(tiny, run_folder.with_name("next")).run() is not None
    del tiny["search"]["warm_start"], tiny["search"]["sampler"]
    tiny["subset"] = 50
    with pytest.raises(UsageError, match="another study: subset") as refusal:
        Study(tiny, run_folder).run()
    assert "warm_start" not in str(refusal.value)


def test_a_folder_with_other_files_is_left_alone(tiny: dict[str, Any], run_folder: Path) -> None:
    run_folder.mkdir()
    (run_folder / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds other files"):
        Study(tiny, run_folder).run()
    assert (run_folder / "thesis.txt").read_text() == "precious"


def test_a_second_search_in_the_same_folder_is_refused(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    study = Study(tiny, run_folder)
    with study.folder.locked(), pytest.raises(UsageError, match="another run is at work"):
        Study(tiny, run_folder).run()


def test_an_impossible_budget_is_refused_before_anything_is_written(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["trials"]["growth"]["budget"] = {"parameters": 5}
    with pytest.raises(UsageError, match=r"trials\.growth\.budget\.parameters: 5 .*give at least"):
        Study(tiny, run_folder).run()
    assert not run_folder.exists()


def test_a_hard_constraint_keeps_trials_off_the_front_but_in_the_ledger(
    tiny: dict[str, Any], run_folder: Path, tmp_path: Path
) -> None:
    free = Study(tiny, tmp_path / "free")
    free.run()
    # Nobody knows an accuracy before training, so that nothing is rejected beforehand.
    best = max(trial.metrics["accuracy"] for trial in free.trials)
    tiny["constraints"] = {"accuracy": {"min": best}}
    study = Study(tiny, run_folder)
    front = study.run()
    assert len(study.trials) == 4
    assert any(trial.metrics["accuracy"] < best for trial in study.trials)
    assert {member.id for member in front.members} == {
        trial.id for trial in study.trials if trial.metrics["accuracy"] >= best
    }


def test_a_killed_driver_loses_no_finished_trial_and_the_rest_is_finished(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    script = (
        "import json, sys; from pathlib import Path; from growsearch import Study\n"
        "Study(json.loads(sys.argv[1]), Path(sys.argv[2])).run()"
    )
    tiny["search"]["trials"] = 6
    ledger = run_folder / "trials.jsonl"
    process = subprocess.Popen([sys.executable, "-c", script, json.dumps(tiny), str(run_folder)])
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(read_ledger(ledger).trials) < 2:
            assert process.poll() is None, "the search ended before it could be killed"
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    kept = ledger.read_bytes()
    finished = [trial.id for trial in read_ledger(ledger).trials]
    started = Study(tiny, run_folder).folder.read_starts()
    study = Study(tiny, run_folder)
    study.run()
    assert len(finished) >= 2
    assert study.resumed_trials == len(finished)
    assert ledger.read_bytes().startswith(kept.rpartition(b"\n")[0])
    ids = [json.loads(line)["id"] for line in ledger.read_text().splitlines() if line.endswith("}")]
    assert len(ids) == len(set(ids)) == 6
    assert set(started) <= set(ids)


def test_measures_beyond_accuracy_are_objectives_and_constraints(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"]["trials"] = 2
    tiny["objectives"] = {"accuracy": "maximize", "ece": "minimize"}
    tiny["constraints"] = {"pgd_accuracy": {"min": "1%"}}
    tiny["metrics"] = {"pgd_accuracy": {"epsilon": 0.01, "steps": 2, "step_size": 0.01}}
    study = Study(tiny, run_folder)
    front = study.run()
    assert front.directions == {"accuracy": "maximize", "ece": "minimize"}
    for trial in study.trials:
        assert 0 <= trial.metrics["ece"] <= 1
        assert trial.metrics["pgd_accuracy"] <= trial.metrics["accuracy"]
        # Only what is asked for is measured.
        assert "nll" not in trial.metrics
    lines = (run_folder / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["metrics"]["ece"] for line in lines] == [
        trial.metrics["ece"] for trial in study.trials
    ]
    assert "Calibration error (ECE)" in render_markdown(read_run(run_folder))


def test_a_measure_that_does_not_fit_the_data_is_refused_before_anything_is_written(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["objectives"] = {"accuracy": "maximize", "mean_iou": "maximize"}
    with pytest.raises(UsageError, match="mean_iou is for labels one a pixel"):
        Study(tiny, run_folder).run()
    tiny["objectives"] = {"accuracy": "maximize", "ood_auroc": "maximize"}
    tiny["metrics"] = {"ood_auroc": {"against": "digits"}}
    with pytest.raises(UsageError, match="against: digits is the data"):
        Study(tiny, run_folder).run()
    assert not run_folder.exists()
