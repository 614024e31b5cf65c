"""A study whose latency is predicted from a profile, and measured for its front."""

import json
import shutil

import pytest
import torch
import yaml

from cost_models import NoisyMeasurementError, load_profile
from cost_models.profiling.building import ProfilePlan, ProfileRun, run_until_settled
from cost_models.profiling.profile_file import profile_to_json
from growsearch.commands.profile_networks import SpaceNetworks
from growsearch.errors import MachineError, UsageError
from growsearch.kinds.latency import fitted_profile
from growsearch.report import write_report
from growsearch.search.study import front_measurement as front_check
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Latency
from growsearch.trial.retries import train_and_score


@pytest.fixture(scope="module")
def profile_file(tmp_path_factory):
    """A hasty profile of this machine for networks of mlp-digits."""
    plan = ProfilePlan(operators=20, networks=3, validation=5, minutes=0.001)
    source = SpaceNetworks.named(["mlp-digits"])
    run = ProfileRun(plan, source, lambda *_: None)
    run_until_settled(run, lambda *_: None)
    path = tmp_path_factory.mktemp("profile") / "cpu.json"
    path.write_text(profile_to_json(run.finish(minutes=0.1)))
    return path


def changed(source, to, *path, value):
    data = json.loads(source.read_text())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    to.write_text(json.dumps(data))
    return to


def measured_as(seconds):
    """Stand in for the clock: a busy machine must not fail these tests. The network does run."""

    def measure(networks, device, lock):
        with torch.inference_mode():
            assert all(model(*example).shape == (1, 10) for model, example in networks.values())
        found = {"method": "measured", "noise": 0.01, "device": device}
        return {
            name: Latency(value_s=1.25 * seconds, processor_s=seconds, **found) for name in networks
        }

    return measure


@pytest.fixture
def predicted(tiny, profile_file):
    """A study of one small sparse trial after another, with latency[cpu] from the profile."""
    del tiny["trials"]["growth"]
    tiny["objectives"] = {"accuracy": "maximize", "latency[cpu]": "minimize"}
    tiny["search"]["trials"] = 2
    tiny["profiles"] = {"cpu": str(profile_file)}
    return tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory, profile_file):
    """A study that has run, with its profile."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    study = Study(
        {
            "name": "predicted",
            "dataset": "digits",
            "trials": {
                "sparse": {
                    "space": "mlp-digits",
                    "transform": ["none", "sparse_wide"],
                    "sparsity": {"low": 0.5, "high": 0.7},
                    "epochs": 1,
                }
            },
            "objectives": {"accuracy": "maximize", "latency[cpu]": "minimize"},
            "search": {"trials": 3, "seed": 1, "backend": "serial"},
            "profiles": {"cpu": str(profile_file)},
        },
        folder,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(front_check, "measure_latencies", measured_as(1e-4))
        study.run()
    return study


def test_every_trial_is_predicted_and_the_front_is_measured_too(finished):
    front = {member.id for member in finished.front.members}
    for trial in finished.trials:
        assert trial.finished, trial.error
        entry = trial.latency["cpu"]
        assert entry.method == "fitted"
        assert entry.low_s <= entry.value_s <= entry.high_s
        assert trial.metrics["latency[cpu]"] == entry.value_s
        assert "unseen networks" in entry.note
        assert (entry.measured is not None) == (trial.id in front)
    checked = [trial.latency["cpu"] for trial in finished.trials if trial.id in front]
    assert [entry.measured.value_s for entry in checked] == [1.25e-4] * len(front)
    # A profile predicts processor time: waiting for other programs is no error of its.
    for entry in checked:
        assert entry.error == pytest.approx(entry.value_s / 1e-4 - 1)


def test_the_ledger_and_the_front_file_hold_both_figures(finished):
    ledger = read_ledger(finished.folder.ledger)
    assert ledger.notes == ()
    known = {trial.id: trial for trial in ledger.trials}
    members = json.loads(finished.folder.front.read_text())["members"]
    assert members
    for member in members:
        entry = known[member["id"]].latency["cpu"]
        assert member["measured"]["cpu"] == {
            "predicted_s": entry.value_s,
            "measured_s": entry.measured.processor_s,
        }


def test_the_report_shows_predicted_beside_measured(finished):
    written = write_report(finished.folder.path, ("md", "json", "html"))
    text = written["md"].read_text()
    assert "Predicted beside measured:" in text
    assert "% off on average" in text
    assert "of processor time (" in text
    data = json.loads(written["json"].read_text())
    assert all("measured" in member["latency"]["cpu"] for member in data["front"])
    assert "checkOf" in written["html"].read_text()


def test_the_run_keeps_the_profile_and_resumes_without_its_source(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.folder.path, folder)
    kept = folder / "profiles" / "cpu.json"
    assert load_profile(kept).record.conditions.device == "cpu"
    config = yaml.safe_load((folder / "study.yaml").read_text())
    config.pop("provenance")
    before = (folder / "trials.jsonl").read_bytes()
    again = Study(config, folder)
    again.run()
    assert again.resumed_trials == 3
    assert (folder / "trials.jsonl").read_bytes() == before  # nothing was measured again


def test_a_run_goes_on_with_the_profile_it_was_started_with_alone(finished, tmp_path, profile_file):
    folder, other = tmp_path / "run", tmp_path / "cpu.json"
    shutil.copytree(finished.folder.path, folder)
    config = yaml.safe_load((folder / "study.yaml").read_text())
    del config["provenance"]
    changed(profile_file, other, "conditions", "created", value="2020-01-01")
    config["profiles"]["cpu"] = str(other)
    with pytest.raises(UsageError, match=r"profiles\.cpu: .*not the profile that this run"):
        Study(config, folder).run()


def test_a_profile_of_another_machine_predicts_and_the_front_is_not_measured_here(
    predicted, profile_file, run_folder, tmp_path
):
    predicted["search"]["trials"] = 1
    abacus = tmp_path / "abacus.json"
    changed(profile_file, abacus, "conditions", "host", value={"processor": "Abacus 9"})
    predicted["profiles"] = {"cpu": str(abacus)}
    study = Study(predicted, run_folder)
    study.run()
    (trial,) = study.trials
    assert trial.latency["cpu"].measured is None
    assert "Abacus 9" in trial.latency["cpu"].note
    assert any("profile of Abacus 9" in note for note in study.check_notes)
    assert "measured" not in study.folder.front.read_text()


def test_a_machine_too_noisy_to_measure_on_is_said_and_loses_nothing(
    predicted, run_folder, monkeypatch
):
    def refuse(networks, device, lock):
        return {name: NoisyMeasurementError("repeats differ by 80 %") for name in networks}

    predicted["search"]["trials"] = 1
    monkeypatch.setattr(front_check, "measure_latencies", refuse)
    study = Study(predicted, run_folder)
    assert len(study.run()) == 1
    assert any("could not be measured on cpu: repeats differ" in note for note in study.check_notes)
    monkeypatch.setattr(front_check, "measure_latencies", measured_as(2e-4))
    again = Study(predicted, run_folder)
    again.run()
    assert again.trials[0].latency["cpu"].measured.processor_s == 2e-4


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["conditions", "batch_size"], 4, "measured with batch 4, a study compares batch 1"),
        (["conditions", "threads"], 2, "measured with threads 2, a study compares threads 1"),
        (["conditions", "device"], "abacus", "measured with device abacus"),
        (["version"], 9, "version = 9"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused_before_anything_is_trained(
    predicted, profile_file, run_folder, tmp_path, path, value, message
):
    other = changed(profile_file, tmp_path / "other.json", *path, value=value)
    predicted["profiles"] = {"cpu": str(other)}
    with pytest.raises(UsageError, match=rf"profiles\.cpu: .*{message}"):
        Study(predicted, run_folder).run()
    assert not run_folder.exists()


def test_a_profile_that_is_not_there_is_refused(predicted, run_folder, tmp_path):
    predicted["profiles"] = {"cpu": str(tmp_path / "none.json")}
    with pytest.raises(UsageError, match=r"profiles\.cpu: cannot read profile .*No such file"):
        Study(predicted, run_folder).run()


def test_a_profile_of_a_device_that_is_not_compared_is_refused(predicted, run_folder):
    predicted["objectives"] = {"accuracy": "maximize", "macs": "minimize"}
    with pytest.raises(UsageError, match=r"latency\[cpu\] is no objective or constraint"):
        Study(predicted, run_folder)


def test_a_device_that_is_not_here_is_refused_before_anything_is_trained_with_the_remedy(
    tiny, run_folder, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    tiny["objectives"]["latency[cuda]"] = "minimize"
    with pytest.raises(UsageError, match=r"latency\[cuda\] cannot be measured here: torch"):
        Study(tiny, run_folder).run()
    assert not (run_folder / "trials.jsonl").exists()


def test_a_profile_that_vanishes_while_it_searches_stops_the_search_and_fails_no_trial(
    predicted, run_folder
):
    def without(config, task, seed, report):
        task.profiles["cpu"].unlink()
        fitted_profile.cache_clear()
        return train_and_score(config, task, seed, report)

    study = Study(predicted, run_folder)
    with pytest.raises(MachineError, match=r"cannot read profile .*run the same command again"):
        study.run(StudyOptions(run=without))
    assert not study.folder.ledger.exists()
    assert len(study.folder.read_starts()) == 1
    again = Study(predicted, run_folder)
    again.run()
    assert [trial.status for trial in again.trials] == ["finished"] * 2
