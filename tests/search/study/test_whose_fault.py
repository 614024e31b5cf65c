"""Real faults of both kinds: a candidate's fails its trial, the machine's stops the search."""

import contextlib
import functools
import json
import shutil
import sys

import fault_kinds
import fault_networks
import pytest
from fault_kinds import MACHINE, MachineFault, tried_candidate, tried_machine

from growsearch.errors import GrowsearchError, MachineError
from growsearch.kinds import trial_id
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.retries import train_and_score


@pytest.fixture(autouse=True)
def _own_path(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


# Reading and fitting a profile takes seconds: test_latency_profiles.py has a smaller one.
@pytest.mark.parametrize("fault", [name for name in MACHINE if name != "profile"])
def test_trouble_of_the_machine_stops_the_search_and_leaves_the_trial_to_the_next_start(
    fault, tmp_path
):
    tried_machine(tmp_path, fault, "serial")


@pytest.mark.parametrize("network", fault_networks.WRONG)
def test_a_candidates_own_trouble_is_a_failed_trial_and_the_search_goes_on(network, tmp_path):
    tried_candidate(tmp_path, network, "serial")


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")
def test_on_ray_a_candidate_fails_and_then_the_machine_stops_the_search(tmp_path):
    fault_kinds.write_data(tmp_path / "arrays")
    settings = fault_kinds.settings(tmp_path, backend="ray", trials=3)
    spaces = [f"fault_networks:{name}" for name in ("Diverging", "Sound")]
    settings["code_dir"] = str(fault_kinds.HERE)
    settings["trials"]["sparse"] |= {"space": spaces, "sparsity": [0.5, 0.75]}
    points = [(spaces[0], 0.5), (spaces[1], 0.5), (spaces[1], 0.75)]
    settings["search"]["points_to_evaluate"] = [
        {"space": space, "sparsity": sparsity} for space, sparsity in points
    ]
    planned = Study(
        settings | {"search": {**settings["search"], "backend": "serial"}}, tmp_path / "p"
    )
    planned.run()
    last = planned.trials[2]
    strike = functools.partial(fault_kinds.struck, name=last.id, fault=MACHINE["torch-memory"])
    search = Study(settings, tmp_path / "run")
    with pytest.raises(MachineError, match=r"can't allocate memory.*free memory") as caught:
        search.run(StudyOptions(run=strike))
    assert caught.value.exit_code == 1
    ended = read_ledger(search.folder.ledger).by_id()
    assert last.id not in ended
    assert last.id in search.folder.read_starts()
    assert [trial.status for trial in planned.trials[:2]] == ["failed", "finished"]
    for trial in planned.trials[:2]:
        assert ended[trial.id].status == trial.status
        assert ended[trial.id].error == trial.error


def test_a_run_folder_that_is_deleted_while_it_trains_is_not_made_anew(tmp_path):
    fault_kinds.write_data(tmp_path / "arrays")
    settings = fault_kinds.settings(tmp_path, backend="serial", trials=2)

    @contextlib.contextmanager
    def deleted(task):
        shutil.rmtree(task.folder)
        yield

    fault = MachineFault(breaks=deleted, says="", after_an_epoch=True)

    def strike(config, task, seed, report):
        return fault_kinds.struck(
            config, task, seed, report, name=trial_id(config, seed), fault=fault
        )

    with pytest.raises(MachineError, match="is gone: the folder was deleted or moved") as caught:
        Study(settings, tmp_path / "run").run(StudyOptions(run=strike))
    assert caught.value.exit_code == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("anew", [False, True])
def test_a_run_folder_that_goes_between_two_trials_stops_the_search(anew, tmp_path):
    fault_kinds.write_data(tmp_path / "arrays")
    settings = fault_kinds.settings(tmp_path, backend="serial", trials=3)
    run = tmp_path / "run"

    def strike(config, task, seed, report):
        found = train_and_score(config, task, seed, report)
        run.rename(tmp_path / "elsewhere")
        if anew:
            shutil.copytree(tmp_path / "elsewhere", run)
        return found

    with pytest.raises(MachineError, match="is gone: the folder was deleted or moved"):
        Study(settings, run).run(StudyOptions(run=strike))
    assert not (run / "trials.jsonl").exists()
    assert run.exists() == anew


def test_a_ledger_that_loses_lines_while_the_search_runs_stops_it(tmp_path):
    fault_kinds.write_data(tmp_path / "arrays")
    settings = fault_kinds.settings(tmp_path, backend="serial", trials=3)
    ledger = tmp_path / "run" / "trials.jsonl"

    def strike(config, task, seed, report):
        if ledger.exists():
            ledger.unlink()
        return train_and_score(config, task, seed, report)

    with pytest.raises(MachineError, match=r"trials.jsonl has lost lines.*restore it"):
        Study(settings, tmp_path / "run").run(StudyOptions(run=strike))


def test_a_ledger_that_is_missing_beside_full_trials_is_said_and_nothing_is_trained(tmp_path):
    fault_kinds.write_data(tmp_path / "arrays")
    settings = fault_kinds.settings(tmp_path, backend="serial", trials=2)
    run = tmp_path / "run"
    Study(settings, run).run()
    lines = (run / "trials.jsonl").read_text().splitlines()

    def refuse(*_):
        raise AssertionError("a trial ran again")

    for lost in ("", None):
        (run / "trials.jsonl").unlink(missing_ok=True)
        if lost is not None:
            (run / "trials.jsonl").write_text(lost)
        with pytest.raises(GrowsearchError, match=r"2 finished trials have their files.*Restore"):
            Study(settings, run).run(StudyOptions(run=refuse))
    # A line that a person removed, as a message may ask for, is another matter.
    (run / "trials.jsonl").write_text(f"{lines[0]}\n")
    again = Study(settings, run)
    again.run()
    assert "1 finished trials have no line" in again.notes[0]
    no_time = {"duration_s": 0, "ended_at": 0}
    assert [json.loads(line) | no_time for line in lines] == [
        json.loads(trial.to_line()) | no_time for trial in again.trials
    ]
