"""Pulse of a search: what its heartbeat says while it goes on, and how each end is told."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import MachineError
from growsearch.report.live.heartbeat import HEARTBEAT_FILE, Heartbeat, read_heartbeat
from growsearch.report.live.status import read_status
from growsearch.search.ledger import pulse as pulse_module
from growsearch.search.ledger.pulse import pulse
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.retries import failed_trial


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "_LEAST_S", 0.01)


@pytest.fixture
def recorder(tiny: dict[str, Any], run_folder: Path) -> Recorder:
    study = Study(tiny, run_folder)
    study.folder.open(study.config)
    return Recorder(study.folder, seed=3)


def _until(wanted: Any, folder: Path) -> Heartbeat:
    for _ in range(500):
        beat = read_heartbeat(folder)
        if beat is not None and wanted(beat):
            return beat
        time.sleep(0.01)
    raise AssertionError(f"the heartbeat never said it: {beat}")


def _pulse(recorder: Recorder, reason: str | None = None) -> Any:
    return pulse(recorder, wanted=4, parallel=1, time_budget_s=60.0, time_was_up=lambda: reason)


def test_a_beat_says_who_searches_what_runs_and_what_is_wanted(
    recorder: Recorder, run_folder: Path
) -> None:
    with _pulse(recorder):
        beat = _until(lambda b: not b.running, run_folder)
        assert (beat.process, beat.wanted, beat.end) == (os.getpid(), 4, None)
        assert beat.time_budget_s == 60.0
        recorder.running.add("aaaa")
        recorder._tell_listeners()
        assert _until(lambda b: b.running, run_folder).running == ("aaaa",)
    assert recorder.listeners == []


def test_each_end_is_told(recorder: Recorder, run_folder: Path) -> None:
    def end() -> tuple[str | None, str]:
        beat = read_heartbeat(run_folder)
        assert beat is not None
        assert beat.running == ()
        return beat.end, beat.words

    with _pulse(recorder):
        pass
    assert end() == ("complete", "")
    with _pulse(recorder, "it was used up"):
        pass
    assert end() == ("time", "it was used up")
    with pytest.raises(KeyboardInterrupt), _pulse(recorder):
        raise KeyboardInterrupt
    assert end() == ("interrupted", "")
    with pytest.raises(MachineError), _pulse(recorder):
        raise MachineError("no space\nis left")
    assert end() == ("error", "no space is left")


def test_a_heart_that_cannot_write_ends_no_search_and_makes_no_folder(
    recorder: Recorder, run_folder: Path
) -> None:
    moved = run_folder.with_name("moved")
    with _pulse(recorder):
        _until(lambda b: True, run_folder)
        run_folder.rename(moved)
        recorder._tell_listeners()
        time.sleep(0.05)
        assert not run_folder.exists()
        run_folder.mkdir()
        recorder._tell_listeners()
        time.sleep(0.05)
    # Another folder of its name is not the run's.
    assert list(run_folder.iterdir()) == []
    assert (moved / HEARTBEAT_FILE).is_file()


def test_a_study_is_alive_while_it_runs_and_finished_afterwards(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    states: list[tuple[str, int]] = []

    def run(config: Any, task: Any, seed: int, report: Any) -> Any:
        _until(lambda b: b.running, run_folder)
        status = read_status(run_folder)
        states.append((status.state, len(status.running)))
        return failed_trial(config, seed, "a reason")

    tiny["search"]["trials"] = 2
    Study(tiny, run_folder).run(StudyOptions(run=run))
    assert states == [("running", 1)] * 2
    status = read_status(run_folder)
    assert (status.state, status.life.alive, status.wanted) == ("finished", False, 2)
    lines = [trial.ended_at for trial in status.run.trials]
    assert all(time.time() - 600 < at <= time.time() for at in lines if at is not None)
    assert None not in lines
