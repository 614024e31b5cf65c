"""What becomes of failed trials when a run resumes, with --retry-failed and without it?"""

import json

import pytest
import yaml
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import CandidateError
from growsearch.kinds import trial_id
from growsearch.report import read_run
from growsearch.report.markdown import render_markdown
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.retries import train_and_score


@pytest.fixture
def study(tiny):
    del tiny["trials"]["growth"]
    tiny["objectives"] = {"accuracy": "maximize", "macs": "minimize"}
    tiny["search"] |= {"trials": 3, "sampler": "random"}
    return tiny


class _Failing:
    """Fails the trials whose place in the study is named, and notes which were run."""

    def __init__(self, *places):
        self.places, self.ran = places, []

    def __call__(self, config, task, seed, report):
        self.ran.append(trial_id(config, seed))
        if len(self.ran) - 1 in self.places:
            raise CandidateError("it was too early")
        return train_and_score(config, task, seed, report)


def _session(study, folder, *places, retry=False):
    run, failing = Study(study, folder), _Failing(*places)
    run.run(StudyOptions(run=failing, retry_failed=retry))
    return run, failing.ran


def test_failed_trials_of_an_earlier_session_stay_failed_and_count_among_the_trials(
    study, run_folder
):
    first, ran = _session(study, run_folder, 0, 2)
    assert [trial.status for trial in first.trials] == ["failed", "finished", "failed"]
    before = first.folder.ledger.read_bytes()
    again, ran_again = _session(study, run_folder)
    assert ran_again == []
    assert again.resumed_trials == 3
    assert first.folder.ledger.read_bytes() == before
    study["search"]["trials"] = 4
    more, ran_more = _session(study, run_folder)
    assert len(ran_more) == 1
    assert set(ran_more).isdisjoint(ran)
    assert [t.status for t in more.trials] == ["failed", "finished", "failed", "finished"]


def test_failed_trials_are_run_again_first_under_their_numbers_and_others_are_not(
    study, run_folder, tmp_path
):
    first, ran = _session(study, run_folder, 0, 2)
    study["search"]["trials"] = 4
    again, ran_again = _session(study, run_folder, retry=True)
    assert ran_again[:2] == [ran[0], ran[2]]
    assert len(ran_again) == 3
    assert again.resumed_trials == 1
    assert [trial.status for trial in again.trials] == ["finished"] * 4
    assert [trial.number for trial in again.trials] == [0, 1, 2, 3]
    assert [trial.id for trial in again.trials][:3] == ran
    # The ledger is append-only: what failed stands there, and the later line counts.
    lines = [json.loads(line) for line in first.folder.ledger.read_text().splitlines()]
    assert [line["status"] for line in lines].count("failed") == 2
    assert len(lines) == 6
    assert len(read_ledger(first.folder.ledger).trials) == 4
    # What came of it is what comes of a run in which nothing failed.
    undisturbed, _ = _session(study, tmp_path / "undisturbed")
    assert [trial.metrics for trial in undisturbed.trials] == [t.metrics for t in again.trials]
    assert read_run(run_folder).failed == ()
    assert "too early" not in render_markdown(read_run(run_folder))


def test_a_trial_that_fails_again_is_failed_once(study, run_folder):
    _session(study, run_folder, 1)
    again, ran = _session(study, run_folder, 0, retry=True)
    assert len(ran) == 1
    assert [trial.status for trial in again.trials] == ["finished", "failed", "finished"]
    last, ran = _session(study, run_folder)
    assert ran == []
    assert last.resumed_trials == 3


def test_with_nothing_failed_there_is_nothing_to_retry(study, run_folder):
    first, _ = _session(study, run_folder)
    before = first.folder.ledger.read_bytes()
    again, ran = _session(study, run_folder, retry=True)
    assert ran == []
    assert again.folder.ledger.read_bytes() == before


def test_the_command_line_says_how_many_failed_and_runs_them_again_when_asked(study, tmp_path):
    file = tmp_path / "study.yaml"
    command = ["search", str(file), "--out", str(tmp_path / "run")]
    _session(study, tmp_path / "run", 0)
    # More time is what a failed trial's message asks for.
    study["search"] |= {"time_limit": "1 min"}
    file.write_text(yaml.safe_dump(study))
    kept = CliRunner().invoke(app, command)
    assert kept.exit_code == 0, kept.output
    assert "1 trials failed; the first: CandidateError: it was too early" in kept.output
    again = CliRunner().invoke(app, [*command, "--retry-failed"])
    assert again.exit_code == 0, again.output
    assert "2 trials are finished, 1 to run" in again.output
    assert "failed" not in again.output
    trials = read_ledger(tmp_path / "run" / "trials.jsonl").trials
    assert [trial.status for trial in trials] == ["finished"] * 3


def test_a_run_whose_trials_all_failed_ends_with_a_message_and_can_be_retried(study, tmp_path):
    file = tmp_path / "study.yaml"
    command = ["search", str(file), "--out", str(tmp_path / "run")]
    study["search"]["time_limit"] = 0.001
    file.write_text(yaml.safe_dump(study))
    failed = CliRunner().invoke(app, command)
    assert failed.exit_code == 1
    assert "3 trials failed; the first: TimeLimitError: the time limit of 0.001 s" in failed.output
    assert "no trial of" in str(failed.exception)
    study["search"]["time_limit"] = None
    file.write_text(yaml.safe_dump(study))
    again = CliRunner().invoke(app, [*command, "--retry-failed"])
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("limit", [0.0001, 0.001, 0.01, 0.05])
def test_a_limit_that_passes_at_any_moment_of_a_trial_ends_that_trial_and_no_search(
    limit, study, run_folder
):
    study["search"] |= {"time_limit": limit, "trials": 4}
    run = Study(study, run_folder)
    run.run()
    assert len(run.trials) == 4
    for trial in run.trials:
        assert trial.finished or trial.error.startswith("TimeLimitError: ")
