"""Time budgets: no trial starts that could not finish, and those that run at the end are kept."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.reading import write_yaml
from growsearch.search.backends.time_budget import TimeBudget, TimeIsUp, ended_in_time
from growsearch.search.config.file import parse_study
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.record import Trial


class Clock:
    """Stands still but for what trials take."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _trial(config: CandidateConfig, seed: int, seconds: float) -> Trial:
    return Trial(
        id=trial_id(config, seed),
        number=0,
        kind=config.kind,
        status="finished",
        config=config.to_json(),
        seed=trial_seed(config, seed),
        metrics={"accuracy": 0.5, "macs": 100.0, "latency[wafer-cs2]": 1e-3},
        duration_s=seconds,
    )


def _searched(tiny: dict[str, Any], folder: Path, seconds: list[float], **search: Any) -> Study:
    clock, takes = Clock(), iter(seconds)

    def run(config: CandidateConfig, task: Any, seed: int, report: Any) -> Trial:
        taken = next(takes)
        clock.now += taken
        return _trial(config, seed, taken)

    study = Study({**tiny, "search": {**tiny["search"], **search}}, folder)
    study.run(StudyOptions(clock=clock, run=run))
    return study


def test_a_trial_starts_only_where_the_median_of_those_before_still_fits(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    study = _searched(tiny, tmp_path / "run", [10.0] * 9, time_budget="35 s", trials=9)
    assert len(study.trials) == 3
    assert study.time_was_up == "a trial takes 10 s, and 5 s were left"
    study = _searched(tiny, tmp_path / "exact", [10.0] * 9, time_budget="40 s", trials=9)
    assert len(study.trials) == 4
    assert study.time_was_up == "it was used up"


def test_the_number_of_trials_ends_a_search_as_before(tiny: dict[str, Any], tmp_path: Path) -> None:
    study = _searched(tiny, tmp_path / "run", [10.0] * 9, time_budget="1 h", trials=4)
    assert len(study.trials) == 4
    assert study.time_was_up is None


def test_a_budget_alone_has_no_number_of_trials(tiny: dict[str, Any], tmp_path: Path) -> None:
    del tiny["search"]["trials"]
    study = _searched(tiny, tmp_path / "run", [10.0] * 60, time_budget=["6 min", " s"][0])
    assert study.config.search.trials is None
    assert len(study.trials) == 36
    assert "trials:" not in (tmp_path / "run" / "study.yaml").read_text().split("search:")[1]


def test_without_a_budget_there_are_32_trials(tiny: dict[str, Any]) -> None:
    del tiny["search"]["trials"]
    config = parse_study(tiny)
    assert (config.search.trials, config.search.time_budget) == (32, None)


def test_each_session_has_the_whole_budget_and_another_may_be_given(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    _searched(tiny, tmp_path / "run", [10.0] * 9, time_budget="20 s", trials=9)
    study = _searched(tiny, tmp_path / "run", [10.0] * 9, time_budget="30 s", trials=9)
    assert (study.resumed_trials, len(study.trials)) == (2, 5)


@pytest.mark.parametrize("value", [0, -1, "soon", "1 d"])
def test_what_is_no_duration_is_refused(tiny: dict[str, Any], value: Any) -> None:
    tiny["search"]["time_budget"] = value
    with pytest.raises(UsageError, match="time_budget"):
        parse_study(tiny)


def test_a_trial_that_runs_at_the_end_is_cut_off_kept_and_resumed(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    started: list[str] = []

    def run(config: CandidateConfig, task: Any, seed: int, report: Any) -> Trial:
        started.append(trial_id(config, seed))
        if len(started) == 2:
            time.sleep(60)
        return _trial(config, seed, 0.01)

    tiny["search"] |= {"time_budget": 1.0, "trials": 3}
    study, before = Study(tiny, tmp_path / "run"), time.monotonic()
    study.run(StudyOptions(run=run))
    assert time.monotonic() - before < 8
    assert len(study.trials) == 1
    assert study.time_was_up == "it was used up"
    again = Study(tiny, tmp_path / "run")
    again.run(StudyOptions(run=run))
    # The one that was cut off comes first.
    assert started[2] == started[1]
    assert len(again.trials) == 3


def test_the_end_passes_what_handles_errors_and_restores_the_signal() -> None:
    taken_for_an_error = False

    def work() -> None:
        nonlocal taken_for_an_error
        with ended_in_time(TimeBudget(seconds=0.05)):
            try:
                time.sleep(10)
            except Exception:
                taken_for_an_error = True

    with pytest.raises(TimeIsUp):
        work()
    assert not taken_for_an_error
    with ended_in_time(TimeBudget(seconds=60)):
        pass
    time.sleep(0.1)


def test_what_is_reserved_for_the_end_is_a_twentieth_at_most() -> None:
    clock = Clock()
    for seconds, reserved in ((120.0, 5.0), (40.0, 2.0)):
        budget = TimeBudget(seconds=seconds, clock=clock)
        budget.reserve(5.0)
        assert budget.left() == seconds - reserved
    without = TimeBudget(seconds=None, clock=clock)
    without.reserve(5.0)
    assert without.left() is None


def test_outside_the_main_thread_a_trial_comes_to_its_own_end() -> None:
    ended: list[bool] = []

    def work() -> None:
        with ended_in_time(TimeBudget(seconds=0.01)):
            time.sleep(0.05)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


def test_the_command_ends_with_a_report_and_says_why(tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny["search"] |= {"time_budget": "2 s", "trials": 5000, "sampler": "random"}
    tiny["trials"].pop("growth")
    tiny["objectives"].pop("latency[wafer-cs2]")
    (tmp_path / "study.yaml").write_text(write_yaml(tiny))
    before = time.monotonic()
    done = CliRunner().invoke(
        app, ["search", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "run")]
    )
    assert done.exit_code == 0, done.output
    assert time.monotonic() - before < 14
    assert "The time budget of 2 s ended the search after" in done.output
    assert (tmp_path / "run" / "report.html").exists()


def test_half_of_the_time_is_for_the_search_whatever_baselines_take(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    # Dense, and uniform at both ends of the budget.
    tiny["baselines"] = ["dense", "uniform"]
    study = _searched(tiny, tmp_path / "run", [10.0] * 9, time_budget="40 s", trials=9)
    kinds = [trial.kind for trial in study.trials]
    assert kinds[:2] == ["baseline", "baseline"]
    assert kinds.count("baseline") == 2
    assert len(kinds) == 4
    assert [note for note in study.check_notes if note.startswith("1 baselines were left")], (
        study.check_notes
    )
    # What was left out comes after the search where time is left.
    seconds = [20.0, 10.0, 10.0, 10.0]
    study = _searched(tiny, tmp_path / "after", seconds, time_budget="50 s", trials=1)
    baselines = [trial.kind == "baseline" for trial in study.trials]
    assert baselines == [True, True, False, True]
    assert study.check_notes == ()
