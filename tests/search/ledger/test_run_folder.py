"""What a run folder may hold, and where a search writes and deletes: in that folder alone."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import GrowsearchError, MachineError, UsageError
from growsearch.report import read_run
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder
from growsearch.search.study.study import Study
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.retries import forget_attempts, keep_outcome
from growsearch.trial.run import ARCHITECTURE, CHECKPOINT
from growsearch.trial.trial_folder import is_trial_id, made_trial_folder, trial_folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder outside of any run, with what a search would write, adopt or delete."""
    folder = tmp_path / "victim"
    folder.mkdir()
    for name in ("precious", "outcome.json", CHECKPOINT, "data.safetensors", "cpu.json"):
        (folder / name).write_text("precious")
    return folder


def _untouched(victim: Path) -> bool:
    files = sorted(victim.rglob("*"))
    return len(files) == 5 and all(file.read_text() == "precious" for file in files)


@pytest.fixture(scope="module")
def finished_folder(
    tmp_path_factory: pytest.TempPathFactory, new_tiny: Callable[[], dict[str, Any]]
) -> Path:
    """The folder of a search of one trial; of which tests take copies."""
    tiny, folder = new_tiny(), tmp_path_factory.mktemp("finished") / "run"
    tiny["search"]["trials"] = 1
    del tiny["trials"]["growth"]
    Study(tiny, folder).run()
    return folder


@pytest.fixture
def finished(finished_folder: Path, run_folder: Path) -> Study:
    shutil.copytree(finished_folder, run_folder)
    study = Study(run_folder / "study.yaml", run_folder)
    # Everything is finished: it reads what is there.
    study.run()
    return study


def _again(study: Study, trials: int = 2) -> Study:
    search = study.config.search.model_copy(update={"trials": trials})
    return Study(study.config.model_copy(update={"search": search}), study.folder.path)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_stays(
    dangling: bool, finished: Study, victim: Path
) -> None:
    lock = finished.folder.path / "run.lock"
    lock.unlink()
    lock.symlink_to(victim / ("nothing" if dangling else "precious"))
    with pytest.raises(MachineError, match=r"run\.lock is a link to .*remove the link"):
        _again(finished).run()
    assert _untouched(victim)


def test_a_lock_that_is_another_files_hard_link_is_refused(finished: Study, victim: Path) -> None:
    lock = finished.folder.path / "run.lock"
    lock.unlink()
    os.link(victim / "precious", lock)
    with pytest.raises(MachineError, match="hard link"):
        _again(finished).run()
    assert _untouched(victim)


@pytest.mark.parametrize("name", ["trials.jsonl", "started.jsonl", "rejected.jsonl", "run.lock"])
def test_a_file_that_is_a_pipe_is_refused_and_not_waited_for(name: str, finished: Study) -> None:
    path = finished.folder.path / name
    before = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert before is not None
    study = _again(finished)
    with pytest.raises(GrowsearchError, match="is a pipe and no file"):
        study.run()


@pytest.mark.parametrize("name", ["trials.jsonl", "started.jsonl"])
def test_a_ledger_that_is_a_link_is_read_and_not_written(
    name: str, finished: Study, tmp_path: Path
) -> None:
    path = finished.folder.path / name
    path.rename(tmp_path / "moved.jsonl")
    path.symlink_to(tmp_path / "moved.jsonl")
    before = (tmp_path / "moved.jsonl").read_bytes()
    with pytest.raises(MachineError, match="is a link to"):
        _again(finished).run()
    assert (tmp_path / "moved.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["trials", "profiles", "data", "shared", "tensorboard", "wandb"])
def test_a_folder_of_a_run_that_is_a_link_is_refused(
    name: str, finished: Study, victim: Path
) -> None:
    place = finished.folder.path / name
    if place.exists():
        place.rename(place.with_name("aside"))
    place.symlink_to(victim)
    with pytest.raises(MachineError, match=f"{name} is a link to"):
        _again(finished).run()
    assert _untouched(victim)


def test_a_trial_folder_that_is_a_link_is_neither_written_nor_emptied(
    finished: Study, victim: Path, tmp_path: Path
) -> None:
    planned = _again(Study(finished.config, tmp_path / "planned"))
    planned.run()
    (next_one,) = {t.id for t in planned.trials} - {t.id for t in finished.trials}
    (finished.folder.path / "trials" / next_one).symlink_to(victim)
    with pytest.raises(MachineError, match=f"{next_one} is a link to"):
        _again(finished).run()
    assert _untouched(victim)
    with pytest.raises(MachineError, match="is a link to"):
        Recorder(finished.folder, seed=3).finish(planned.trials[1])
    assert _untouched(victim)
    assert len(read_ledger(finished.folder.ledger).trials) == 1


@pytest.mark.parametrize(
    "name", ["../../victim", "/etc", "..", ".", "", "a/b", "a\\b", "a b", "a\0b", "-rf", "ü" * 9, 7]
)
def test_an_id_that_would_lead_elsewhere_is_refused_wherever_it_stands(
    name: Any, finished: Study, victim: Path
) -> None:
    assert not is_trial_id(name)
    with pytest.raises(UsageError, match="is not made of letters"):
        trial_folder(finished.folder.path, name)
    starts = finished.folder.starts
    (line,) = [json.loads(text) for text in starts.read_text().splitlines()]
    starts.write_text(starts.read_text() + json.dumps({**line, "id": name}) + "\n")
    keep_outcome(victim, finished.trials[0])
    if name == 7:
        # A number is read as its text, and names no folder of another.
        assert finished.folder.read_starts()
        return
    with pytest.raises(UsageError, match=r"started\.jsonl:2: id .* is no trial's; remove the line"):
        _again(finished).run()
    assert len(read_ledger(finished.folder.ledger).trials) == 1
    assert (victim / "outcome.json").exists()


def test_an_outcome_of_another_trial_is_not_adopted(finished: Study) -> None:
    starts, trial = finished.folder.starts, finished.trials[0]
    (line,) = [json.loads(text) for text in starts.read_text().splitlines()]
    starts.write_text(starts.read_text() + json.dumps({**line, "id": "0123456789"}) + "\n")
    place = finished.folder.trial("0123456789")
    keep_outcome(place, trial)
    recorder = Recorder(finished.folder, seed=3)
    assert [start.id for start in recorder.unfinished()] == ["0123456789"]
    forget_attempts(place)
    assert list(place.iterdir()) == []


def test_a_run_may_itself_be_reached_through_a_link(
    tiny: dict[str, Any], run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    run_folder.symlink_to(tmp_path / "disk")
    tiny["search"]["trials"] = 1
    study = Study(tiny, run_folder)
    study.run()
    assert (tmp_path / "disk" / "trials" / study.trials[0].id / ARCHITECTURE).is_file()


def test_a_trial_folder_is_made_once_and_inside_its_run(tmp_path: Path) -> None:
    for _ in range(2):
        assert made_trial_folder(tmp_path / "run", "abc") == tmp_path / "run" / "trials" / "abc"
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot write"):
        made_trial_folder(tmp_path / "file", "abc")


@pytest.mark.parametrize("tail", [b"\0" * 5000, b'{"id": "half\0\0\0'])
@pytest.mark.parametrize("name", ["trials.jsonl", "started.jsonl"])
def test_what_a_power_cut_leaves_at_the_end_of_a_file_stops_no_search(
    tail: bytes, name: str, finished: Study
) -> None:
    path = finished.folder.path / name
    before = path.read_bytes()
    path.write_bytes(before + tail)
    second = _again(finished)
    second.run()
    assert second.resumed_trials == 1
    third = _again(finished, 3)
    third.run()
    assert third.resumed_trials == 2
    assert len(third.trials) == 3
    assert path.read_bytes().startswith(before)
    assert not path.read_bytes().endswith(b"\0")


@pytest.mark.parametrize("where", ["after", "before"])
def test_a_whole_line_beside_nul_bytes_counts(where: str, finished: Study) -> None:
    line = finished.folder.ledger.read_bytes().rstrip(b"\n")
    nul = b"\0" * 4096
    content = line + nul if where == "after" else nul + b"\n" + nul + line + b"\n"
    finished.folder.ledger.write_bytes(content)
    assert [trial.id for trial in read_ledger(finished.folder.ledger).trials] == [
        finished.trials[0].id
    ]
    again = _again(finished)
    again.run()
    assert again.resumed_trials == 1
    assert len(read_ledger(finished.folder.ledger).trials) == 2


def test_a_trial_that_was_killed_before_its_ledger_line_is_no_lost_one(finished: Study) -> None:
    folder = finished.folder.trial(finished.trials[0].id)
    finished.folder.ledger.unlink()
    (folder / CHECKPOINT).touch()
    Recorder(finished.folder, seed=3)
    (folder / CHECKPOINT).unlink()
    with pytest.raises(MachineError, match=r"has no line, but 1 finished trials have their files"):
        Recorder(finished.folder, seed=3)


def test_the_folder_knows_itself_from_another_of_its_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    before = folder.identity()
    assert folder.identity() == before
    folder.path.rename(tmp_path / "moved")
    with pytest.raises(MachineError, match="is gone"):
        folder.identity()
    folder.path.mkdir()
    assert folder.identity() != before


def test_what_a_study_asks_of_its_choice_now_is_what_its_run_is_read_by(finished: Study) -> None:
    before = read_run(finished.folder.path)
    assert before.wishes.bounds == ()
    most = finished.trials[0].metrics["macs"] - 1
    wanted = finished.config.select.model_copy(update={"max": {"macs": most}})
    again = Study(finished.config.model_copy(update={"select": wanted}), finished.folder.path)
    again.run()
    after = read_run(finished.folder.path)
    assert [(bound.objective, bound.value) for bound in after.wishes.bounds] == [("macs", most)]
    assert again.choice.chosen is None
    # All else stays as it was written, where the run began included.
    assert {**after.study, "select": before.study["select"]} == before.study
