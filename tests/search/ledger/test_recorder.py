"""What the ledger's owner does when something broke before."""

import json
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler

from growsearch.errors import GrowsearchError
from growsearch.kinds import CandidateConfig, suggest_candidate
from growsearch.search.ledger import run_folder as run_folder_module
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.history import create_study
from growsearch.search.study.study import Study
from growsearch.trial.retries import failed_trial, keep_outcome
from growsearch.trial.task import TrialTask


def _opened(tiny: dict[str, Any], folder: Path) -> Study:
    study = Study(tiny, folder)
    study.folder.open(study.config)
    return study


def _task(study: Study) -> TrialTask:
    return TrialTask(
        data=study.config.data_choice,
        devices=study.config.devices,
        folder=study.folder.path,
    )


def _candidates(study: Study, count: int) -> list[tuple[CandidateConfig, dict[str, Any]]]:
    sampler = create_study(study.config, RandomSampler(seed=5))
    asked = [sampler.ask() for _ in range(count)]
    return [(suggest_candidate(one, study.config.trials), one.params) for one in asked]


def test_what_finished_after_its_driver_had_died_is_entered_and_not_run_again(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    study = _opened(tiny, run_folder)
    first = Recorder(study.folder, seed=3)
    started = [first.begin(*candidate) for candidate in _candidates(study, 2)]
    outcome = failed_trial(started[1].candidate, 3, "a reason")
    keep_outcome(study.folder.trial(outcome.id), outcome)

    second = Recorder(study.folder, seed=3)
    assert [start.id for start in second.unfinished()] == [started[0].id]
    assert second.resumed == 1
    (line,) = study.folder.ledger.read_text().splitlines()
    assert json.loads(line)["error"] == "a reason"
    assert json.loads(line)["number"] == 1
    assert list(study.folder.trial(outcome.id).iterdir()) == []


def test_a_full_disk_refuses_the_next_trial_before_it_starts_and_keeps_what_is_there(
    tiny: dict[str, Any], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _opened(tiny, run_folder)
    recorder = Recorder(study.folder, seed=3)
    first, second = _candidates(study, 2)
    recorder.begin(*first)
    starts = study.folder.starts.read_bytes()
    monkeypatch.setattr(run_folder_module, "_MIN_FREE_BYTES", 2**62)
    with pytest.raises(GrowsearchError, match=r"MiB are free.*kept; free some space and run"):
        recorder.begin(*second)
    assert study.folder.starts.read_bytes() == starts
    assert len(recorder.running) == 1


def test_a_result_that_the_searcher_never_asked_for_reaches_the_ledger_all_the_same(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    from growsearch.search.backends.ray.backend import LedgerSearch
    from growsearch.search.backends.ray.trouble import Trouble

    study = _opened(tiny, run_folder)
    recorder = Recorder(study.folder, seed=3)
    search = LedgerSearch(study.config, _task(study), recorder, Trouble())
    ((candidate, _),) = _candidates(study, 1)
    line = failed_trial(candidate, 3, "late").to_line()
    search.on_trial_complete("of-another-session", {"ledger_line": line})
    search.on_trial_complete("of-another-session", {"ledger_line": line})
    assert [trial.error for trial in recorder.trials.values()] == ["late"]
    assert len(study.folder.ledger.read_text().splitlines()) == 1


def test_a_ledger_that_cannot_be_written_ends_the_search_and_keeps_the_outcome(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    from growsearch.search.backends.ray.backend import LedgerSearch
    from growsearch.search.backends.ray.trouble import Trouble

    study = _opened(tiny, run_folder)
    recorder, trouble = Recorder(study.folder, seed=3), Trouble()
    search = LedgerSearch(study.config, _task(study), recorder, trouble)
    ((candidate, _),) = _candidates(study, 1)
    outcome = failed_trial(candidate, 3, "kept")
    keep_outcome(study.folder.trial(outcome.id), outcome)
    study.folder.ledger.mkdir()
    search.on_trial_complete("a", {"ledger_line": outcome.to_line()})
    assert trouble.message is not None
    assert "cannot write" in trouble.message
    assert search.suggest("b") == LedgerSearch.FINISHED
    assert (study.folder.trial(outcome.id) / "outcome.json").is_file()


def test_nothing_of_the_searcher_is_ever_saved_that_could_go_stale(
    tiny: dict[str, Any], run_folder: Path, tmp_path: Path
) -> None:
    from growsearch.search.backends.ray.backend import LedgerSearch
    from growsearch.search.backends.ray.trouble import Trouble

    study = _opened(tiny, run_folder)
    search = LedgerSearch(study.config, _task(study), Recorder(study.folder, seed=3), Trouble())
    search.save(str(tmp_path / "searcher.pkl"))
    search.save_to_dir(str(tmp_path))
    assert not list(tmp_path.glob("*.pkl"))
