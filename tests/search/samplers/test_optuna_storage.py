import json
from datetime import datetime

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.files import append_line
from growsearch.search.samplers.optuna_storage import write_optuna_storage
from growsearch.search.study.study import Study
from growsearch.trial.record import Trial


def _opened(path, name="tiny"):
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path))))


def test_trials_have_the_times_at_which_they_ran(tiny, run_folder):
    tiny["search"]["trials"] = 2
    before = datetime.now()
    run = Study(tiny, run_folder)
    run.run()
    after = datetime.now()
    found = _opened(write_optuna_storage(run_folder)).trials
    starts = [json.loads(line) for line in (run_folder / "started.jsonl").read_text().splitlines()]
    for trial, kept, start in zip(found, run.trials, starts, strict=True):
        assert trial.datetime_start == datetime.fromtimestamp(start["started_at"])
        assert trial.datetime_complete == datetime.fromtimestamp(kept.ended_at)
        assert before <= trial.datetime_start < trial.datetime_complete <= after
        assert trial.duration.total_seconds() >= kept.duration_s - 0.01
    # One after the other, as they ran.
    assert found[0].datetime_complete <= found[1].datetime_start


def test_trials_of_lines_without_a_time_keep_their_durations_from_the_runs_begin(tiny, run_folder):
    tiny["search"]["trials"] = 1
    run = Study(tiny, run_folder)
    run.run()
    for name, keys in (("trials.jsonl", ["ended_at"]), ("started.jsonl", ["started_at"])):
        lines = [json.loads(line) for line in (run_folder / name).read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if k not in keys} for line in lines]
        (run_folder / name).write_text("".join(json.dumps(line) + "\n" for line in kept))
    (trial,) = _opened(write_optuna_storage(run_folder)).trials
    assert trial.duration.total_seconds() == pytest.approx(run.trials[0].duration_s, abs=1e-3)
    written = yaml.safe_load((run_folder / "study.yaml").read_text())["provenance"]["started"]
    assert trial.datetime_start.timestamp() == datetime.fromisoformat(written).timestamp()


def test_a_run_opens_as_an_optuna_study_with_every_trial_and_its_state(tiny, run_folder):
    tiny["search"]["trials"] = 2
    run = Study(tiny, run_folder)
    front = run.run()
    broken = run.trials[0].to_json() | {
        "id": "broken",
        "number": 7,
        "status": "failed",
        "metrics": {},
        "error": "it diverged",
    }
    append_line(run_folder / "trials.jsonl", Trial.from_json(broken).to_line())
    for _ in range(2):
        path = write_optuna_storage(run_folder)
    study = optuna.load_study(
        study_name="tiny", storage=JournalStorage(JournalFileBackend(str(path)))
    )
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert {trial.user_attrs["id"] for trial in study.best_trials} == {m.id for m in front.members}
    for trial, found in zip(run.trials, study.trials, strict=False):
        assert found.values == [trial.metrics[name] for name in tiny["objectives"]]
        assert found.params["kind"] == trial.kind
    assert study.trials[2].user_attrs["error"] == "it diverged"
    assert study.metric_names == list(tiny["objectives"])
    done = CliRunner().invoke(app, ["report", str(run_folder), "--format", "optuna"])
    assert "optuna-dashboard" in done.output, done.output
