import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.files import append_line
from growsearch.search.samplers.optuna_storage import write_optuna_storage
from growsearch.search.study.study import Study
from growsearch.trial.record import Trial


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
