"""Progress of a search in a terminal of 80 columns, and as lines elsewhere."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from rich.console import Console

from growsearch.kinds import suggest_candidate
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.history import create_study
from growsearch.search.study.progress import ProgressLine, live_progress
from growsearch.search.study.study import Study
from growsearch.trial.progress_file import PROGRESS
from growsearch.trial.record import Trial
from growsearch.trial.retries import failed_trial

ESCAPE = "\x1b["


@pytest.fixture
def study(tiny: dict[str, Any], run_folder: Path) -> Study:
    found = Study(tiny, run_folder)
    found.folder.open(found.config)
    return found


@pytest.fixture
def recorder(study: Study) -> Recorder:
    """One trial has finished, one has failed, one is in its second epoch."""
    found = Recorder(study.folder, seed=3)
    sampler = create_study(study.config, RandomSampler(seed=5))
    for place in range(3):
        asked = sampler.ask()
        start = found.begin(suggest_candidate(asked, study.config.trials), asked.params)
        trial = failed_trial(start.candidate, 3, "a reason")
        if place == 0:
            metrics = {"accuracy": 0.9, "macs": 100, "latency[wafer-cs2]": 1e-6}
            trial = Trial.from_json(
                trial.to_json() | {"status": "finished", "metrics": metrics, "error": None}
            )
        if place < 2:
            found.finish(trial)
    folder = study.folder.trial(start.id)
    folder.mkdir(parents=True)
    data = {"id": start.id, "phase": "training", "epoch": 1, "epochs": 2}
    (folder / PROGRESS).write_text(json.dumps(data | {"values": {"accuracy": 0.8}}))
    return found


def _shown(study: Study, recorder: Recorder, **options: Any) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80, _environ={}, **options)
    console.print(ProgressLine(study.config, recorder))
    return text.getvalue()


def test_a_terminal_shows_a_bar_the_counts_and_the_epochs_of_what_runs(
    study: Study, recorder: Recorder
) -> None:
    lines = _shown(study, recorder, color_system=None).splitlines()
    assert len(lines) == 3
    assert "tiny" in lines[0]
    assert "━" in lines[0]
    assert lines[1].startswith(
        "2/4 trials · 1 running · 1 failed · best accuracy 90.00 % · front 1"
    )
    (name,) = recorder.running
    assert name in lines[2]
    assert "epoch 2 of 2, 80.00 %" in lines[2]
    assert max(map(len, lines)) <= 80


def test_colours_are_there_where_a_terminal_has_them_and_not_where_it_is_asked_for_none(
    study: Study, recorder: Recorder
) -> None:
    assert ESCAPE in _shown(study, recorder, color_system="standard")
    plain = _shown(study, recorder, color_system="standard", no_color=True)
    assert not any(f"{ESCAPE}{code}" in plain for code in ("31m", "32m", "36m"))


def test_many_running_trials_are_counted_and_not_all_listed(
    study: Study, recorder: Recorder
) -> None:
    sampler = create_study(study.config, RandomSampler(seed=8))
    for _ in range(12):
        asked = sampler.ask()
        recorder.begin(suggest_candidate(asked, study.config.trials), asked.params)
    lines = _shown(study, recorder, color_system=None).splitlines()
    assert len(lines) <= 11
    assert lines[-1] == f"and {len(recorder.running) - 8} more"


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}])
def test_where_nothing_can_be_shown_in_place_each_trial_has_a_line(
    environment: dict[str, str], study: Study, recorder: Recorder
) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=bool(environment), width=80, _environ=environment)
    with live_progress(console, ProgressLine(study.config, recorder), recorder):
        (name,) = recorder.running
        start = recorder.starts[name]
        recorder.finish(failed_trial(start.candidate, 3, "a reason"))
    (line,) = text.getvalue().splitlines()
    assert line.startswith("3/4 trials · 0 running · 2 failed · best accuracy 90.00 % · front 1 · ")
    assert ESCAPE not in line
    assert recorder.listeners == []
