"""Is a search alive? Its lock proves it, its heartbeat tells it, and silence is told as silence."""

import errno
import fcntl
import threading
from pathlib import Path
from typing import Any

import pytest

from growsearch.report.live.heartbeat import (
    HEARTBEAT_FILE,
    SILENT_S,
    Heartbeat,
    boot_id,
    read_heartbeat,
)
from growsearch.report.live.signs_of_life import LOCK_FILE, signs_of_life
from growsearch.search.ledger.run_folder import RunFolder

NOW = 1_800_000_000.0


def _beat(**changes: Any) -> Heartbeat:
    fields: dict[str, Any] = {
        "process": 4711,
        "host": "node7",
        "boot": "another start of another machine",
        "started_at": NOW - 600,
        "written_at": NOW - 5,
    }
    return Heartbeat(**(fields | changes))


def test_a_held_lock_proves_life_whatever_the_heartbeat_says(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("process 4711 on node7")
    with (tmp_path / LOCK_FILE).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for beat in (None, _beat(), _beat(written_at=NOW - 9999), _beat(end="complete")):
            assert signs_of_life(tmp_path, beat, NOW).alive is True
    assert signs_of_life(tmp_path, _beat(end="complete"), NOW).alive is False


@pytest.mark.parametrize(
    ("age", "alive"),
    [(0, True), (SILENT_S - 1, True), (SILENT_S + 1, None), (-SILENT_S - 1, None)],
)
def test_on_another_machine_a_beat_is_life_and_silence_is_not_known(
    age: float, alive: bool | None, tmp_path: Path
) -> None:
    found = signs_of_life(tmp_path, _beat(written_at=NOW - age), NOW)
    assert found.alive is alive
    assert found.last_at == NOW - age
    assert "node7" in found.how
    assert ("clock is ahead" in found.how) == (age < -SILENT_S)


def test_on_this_machine_a_free_lock_proves_the_end_however_young_the_beat(tmp_path: Path) -> None:
    if not boot_id():
        pytest.skip("this system does not tell one start from another")
    found = signs_of_life(tmp_path, _beat(boot=boot_id(), written_at=NOW - 1), NOW)
    assert found.alive is False
    assert "is gone" in found.how


def test_without_a_heartbeat_a_free_lock_of_another_machine_proves_nothing(tmp_path: Path) -> None:
    assert signs_of_life(tmp_path, None, NOW).alive is False
    (tmp_path / LOCK_FILE).write_text("process 4711 on node7\x1b[31m")
    found = signs_of_life(tmp_path, None, NOW)
    assert found.alive is None
    assert "process 4711 on node7\\x1b[31m" in found.how


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_lock_that_is_no_file_is_no_sign(kind: str, tmp_path: Path) -> None:
    import os

    lock = tmp_path / LOCK_FILE
    if kind == "link":
        (tmp_path / "other").write_text("process 1 on node7")
        lock.symlink_to(tmp_path / "other")
    elif kind == "folder":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    assert signs_of_life(tmp_path, None, NOW).alive is False


def test_a_lock_that_cannot_be_asked_for_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LOCK_FILE).write_text("process 4711 on here")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert signs_of_life(tmp_path, None, NOW).alive is None
    here = boot_id()
    assert signs_of_life(tmp_path, _beat(boot=here), NOW).alive is True
    assert signs_of_life(tmp_path, _beat(boot=here, written_at=NOW - 999), NOW).alive is None


def test_who_looks_keeps_no_search_from_starting(tmp_path: Path) -> None:
    folder, over = RunFolder(tmp_path), threading.Event()

    def look() -> None:
        while not over.is_set():
            signs_of_life(tmp_path, None, NOW)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    try:
        for _ in range(20):
            with folder.locked():
                assert signs_of_life(tmp_path, None, NOW).alive is True
    finally:
        over.set()
        for thread in lookers:
            thread.join()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"process": 1}',
        '{"process": "x", "host": "h", "started_at": 1, "written_at": 1}',
        '{"process": 1, "host": "h", "started_at": 1, "written_at": 1, "end": "perhaps"}',
        '{"process": 1, "host": "h", "started_at": 1, "written_at": 1, "running": ["../../etc"]}',
        '{"process": 1, "host": "\\ud800", "started_at": 1, "written_at": 1}',
        '{"process": 1, "host": "h", "started_at": -1e300, "written_at": 1}',
        '{"process": 1, "host": "h", "started_at": 1, "written_at": 1e300}',
    ],
)
def test_a_heartbeat_that_is_none_is_passed_over(content: str, tmp_path: Path) -> None:
    (tmp_path / HEARTBEAT_FILE).write_text(content)
    assert read_heartbeat(tmp_path) is None


def test_a_heartbeat_reached_through_a_link_is_passed_over(tmp_path: Path) -> None:
    beat = '{"process": 1, "host": "h", "started_at": 1, "written_at": 1}'
    (tmp_path / "elsewhere.json").write_text(beat)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / HEARTBEAT_FILE).symlink_to(tmp_path / "elsewhere.json")
    assert read_heartbeat(tmp_path / "run") is None
    (tmp_path / HEARTBEAT_FILE).write_text(beat)
    found = read_heartbeat(tmp_path)
    assert found is not None
    assert found.host == "h"
