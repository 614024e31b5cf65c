"""Status of a run from its folder alone: finished, running, silent, empty and broken folders."""

import dataclasses
import fcntl
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from growsearch.errors import UsageError
from growsearch.report.live import starts as starts_module
from growsearch.report.live.heartbeat import HEARTBEAT_FILE, read_heartbeat
from growsearch.report.live.signs_of_life import LOCK_FILE
from growsearch.report.live.starts import STARTS_FILE, StartsReader, read_starts
from growsearch.report.live.status import read_status
from growsearch.report.live.status_text import status_lines
from growsearch.trial.progress_file import PROGRESS

SCHEMA = json.loads(Path(__file__).with_name("status.schema.json").read_text())
RunMaker = Callable[..., Path]
NOW = 1_800_000_000.0
CONFIG = {"kind": "growth", "space": "resnet-digits", "budget": {"parameters": 0.3}, "epochs": 20}


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the run's lock, as its search does."""
    with (folder / LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beat(folder: Path, **changes: Any) -> None:
    beat = {
        "process": 4711,
        "host": "node7",
        "started_at": NOW - 120,
        "written_at": NOW - 4,
        "wanted": 12,
        "resumed": 0,
    }
    (folder / HEARTBEAT_FILE).write_text(json.dumps(beat | changes))


def _start(folder: Path, name: str, number: int, **changes: Any) -> None:
    line = {"id": name, "number": number, "candidate": CONFIG, "params": {}, **changes}
    with (folder / STARTS_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def _progress(folder: Path, name: str, **changes: Any) -> None:
    place = folder / "trials" / name
    place.mkdir(parents=True, exist_ok=True)
    data = {"id": name, "phase": "training", "epoch": 5, "epochs": 20, "values": {"accuracy": 0.9}}
    (place / PROGRESS).write_text(json.dumps(data | changes))


@pytest.fixture
def running(run_maker: RunMaker) -> Path:
    """A run of ten finished trials and two under way, of which one tells of its epochs."""
    folder = run_maker(count=10)
    _start(folder, "aaaa", 10, started_at=NOW - 60)
    _start(folder, "bbbb", 11)
    _progress(folder, "aaaa", started_at=NOW - 60, written_at=NOW - 1)
    _beat(folder, running=["aaaa", "bbbb"])
    return folder


def _json(folder: Path) -> dict[str, Any]:
    data = json.loads(json.dumps(read_status(folder, NOW).to_json(), allow_nan=False))
    jsonschema.validate(data, SCHEMA)
    return data


def test_a_running_search_tells_of_its_trials_their_epochs_and_the_time_left(
    running: Path,
) -> None:
    with _held(running):
        found = _json(running)
    assert found["state"] == "running"
    assert found["search"]["alive"] is True
    assert found["trials"]["wanted"] == 12
    assert found["trials"]["finished"] == 10
    first, second = found["running"]
    assert (first["id"], first["epoch"], first["epochs"], first["share"]) == ("aaaa", 5, 20, 0.25)
    assert first["values"] == {"accuracy": 0.9}
    assert first["started"] == "2027-01-15T07:59:00Z"
    assert (second["id"], second["epoch"], second["phase"]) == ("bbbb", None, None)
    assert found["time"]["spent_s"] == 120
    # 10.25 trials in 120 s and 1.75 to go; but the first one took 60 s for its quarter.
    assert found["time"]["left_s"] == pytest.approx(59 / 0.25 * 0.75)
    assert "10 trials" in found["time"]["left_from"]


def test_repeats_of_the_front_are_under_way_and_the_search_is_not_at_its_end(
    running: Path,
) -> None:
    repeats = {"done": 3, "wanted": 8, "running": "cccc"}
    _beat(running, wanted=10, running=[], repeats=repeats)
    (running / "started.jsonl").unlink()
    _progress(running / "repeats", "cccc")
    with _held(running):
        found, lines = _json(running), status_lines(read_status(running, NOW))
    assert found["time"]["left_s"] is None
    assert found["time"]["left_from"] == "repeats of the front are under way"
    assert (found["repeats"]["done"], found["repeats"]["wanted"]) == (3, 8)
    assert (found["repeats"]["running"]["id"], found["repeats"]["running"]["epoch"]) == ("cccc", 5)
    assert "  repeats   3 of 8 done; cccc  epoch 6 of 20, 90.00 %" in lines
    assert not any("at its end" in line for line in lines)
    # A time budget ends them, too.
    _beat(running, wanted=10, running=[], repeats=repeats, time_budget_s=300.0)
    with _held(running):
        assert _json(running)["time"] == {
            "spent_s": 120.0,
            "left_s": 180.0,
            "left_from": "its time budget",
        }
    _beat(running, wanted=10, running=[], repeats={"done": 8, "wanted": 8})
    with _held(running):
        assert _json(running)["time"]["left_from"] == "all trials are there"
    # Stopped, it says how far they were.
    _beat(running, wanted=10, running=[], repeats=repeats | {"running": ""}, end="interrupted")
    lines = status_lines(read_status(running, NOW))
    assert "  repeats   3 of 8 done, the front's networks with other seeds" in lines


def test_repeats_that_follow_are_told_though_nobody_knows_how_many(
    run_maker: RunMaker, study: dict[str, Any]
) -> None:
    search = {**study.get("search", {}), "trials": 10, "repeats": 2}
    folder = run_maker(count=10, study={**study, "search": search})
    for beat in (None, {"wanted": 10, "repeats": {}}):
        if beat is not None:
            _beat(folder, **beat)
        with _held(folder):
            found = _json(folder)
        assert found["repeats"] == {"done": 0, "wanted": None, "running": None}
        assert found["time"]["left_from"] == "repeats of the front follow"
    _beat(folder, wanted=20, repeats={})
    with _held(folder):
        found = _json(folder)
    # The time of the trials is told, and that it is not of all.
    assert found["time"]["left_from"] == "10 trials in 2:00, repeats not counted"


@pytest.mark.parametrize("bad", [{"done": -1}, {"wanted": 2**60}, {"running": "../x"}])
def test_repeats_that_cannot_be_are_no_heartbeat(bad: dict[str, Any], running: Path) -> None:
    _beat(running, repeats=bad)
    assert read_heartbeat(running) is None


def test_a_repeats_folder_that_is_a_link_is_not_followed(running: Path, tmp_path: Path) -> None:
    _progress(tmp_path / "elsewhere", "cccc")
    (running / "repeats").symlink_to(tmp_path / "elsewhere")
    _beat(running, wanted=10, repeats={"done": 3, "wanted": 8, "running": "cccc"})
    with _held(running):
        assert _json(running)["repeats"]["running"]["epoch"] is None


def test_how_many_run_at_once_is_told_beside_those_that_run(running: Path) -> None:
    _beat(running, running=["aaaa", "bbbb"], parallel=4)
    with _held(running):
        found, lines = _json(running), status_lines(read_status(running, NOW))
    assert found["trials"]["at_once"] == 4
    assert "  trials    10 of 12 done, 2 running (of 4 at once)" in lines


def test_a_trial_that_failed_before_and_is_run_again_is_running(running: Path) -> None:
    lines = (running / "trials.jsonl").read_text().splitlines()
    failed = {**json.loads(lines[0]), "id": "aaaa", "status": "failed", "error": "a reason"}
    for ended_at, count in ((NOW - 500, 2), (NOW - 1, 1)):
        again = json.dumps({**failed, "ended_at": ended_at})
        (running / "trials.jsonl").write_text("\n".join([*lines, again]) + "\n")
        with _held(running):
            assert len(_json(running)["running"]) == count


def test_the_best_is_the_first_objectives_and_the_front_is_the_reports(
    run_folder: Path,
) -> None:
    found, status = _json(run_folder), read_status(run_folder, NOW)
    best = max(
        (t for t in status.run.finished if t.id in {p.id for p in status.run.front().points}),
        key=lambda t: t.metrics["accuracy"],
    )
    assert found["best"]["value"] == best.metrics["accuracy"]
    assert found["best"]["objective"] == "accuracy"
    assert found["front"]["size"] == len(status.run.front().members)
    assert (found["trials"]["finished"], found["trials"]["failed"]) == (38, 2)


@pytest.mark.parametrize(
    ("end", "words", "state"),
    [
        ("complete", "", "finished"),
        ("time", "it was used up", "time_up"),
        ("interrupted", "", "interrupted"),
        ("error", "no space is left", "failed"),
    ],
)
def test_why_a_search_ended_is_told_as_it_said(
    end: str, words: str, state: str, running: Path
) -> None:
    _beat(running, end=end, words=words)
    found = _json(running)
    assert (found["state"], found["search"]["alive"]) == (state, False)
    assert found["search"]["end_words"] == (words or None)
    assert found["running"] == []
    assert found["trials"]["unfinished"] == 2
    assert found["time"]["left_s"] is None
    assert words in "\n".join(status_lines(read_status(running, NOW)))


def test_a_silent_search_on_another_machine_is_unknown_and_its_last_sign_is_told(
    running: Path,
) -> None:
    _beat(running, written_at=NOW - 3600)
    found = _json(running)
    assert (found["state"], found["search"]["alive"]) == ("unknown", None)
    assert found["search"]["last_sign"] == "2027-01-15T07:00:00Z"
    assert (
        "no sign of life since 2027-01-15T07:00:00Z" in status_lines(read_status(running, NOW))[0]
    )


def test_a_search_that_was_killed_here_has_gone_without_a_word(running: Path) -> None:
    from growsearch.report.live.heartbeat import boot_id

    if not boot_id():
        pytest.skip("this system does not tell one start from another")
    _beat(running, boot=boot_id())
    assert _json(running)["state"] == "gone"


def test_a_run_of_an_older_version_is_judged_by_its_lock_and_its_number_of_trials(
    run_maker: RunMaker, study: dict[str, Any]
) -> None:
    search = {**study.get("search", {}), "trials": 10}
    folder = run_maker(count=10, study={**study, "search": search})
    assert _json(folder)["state"] == "finished"
    _start(folder, "aaaa", 10)
    with _held(folder):
        found = _json(folder)
    assert found["state"] == "running"
    assert [trial["id"] for trial in found["running"]] == ["aaaa"]


def test_a_run_without_a_trial_says_so(run_maker: RunMaker) -> None:
    folder = run_maker(count=0)
    (folder / "trials.jsonl").unlink()
    _beat(folder)
    with _held(folder):
        found, lines = _json(folder), status_lines(read_status(folder, NOW))
    assert (found["best"], found["front"]["size"]) == (None, 0)
    assert found["time"]["left_from"] == "nothing has been trained yet"
    assert any("no finished trial yet" in line for line in lines)


def test_lines_for_a_terminal_have_80_columns_and_nothing_hidden(running: Path) -> None:
    _progress(running, "aaaa", values={"\x1b[31mred": 0.5}, epoch=19)
    _beat(running, running=["aaaa", "bbbb"], host="node\x1b]0;x\x07")
    with _held(running):
        lines = status_lines(read_status(running, NOW))
    assert all(line.isprintable() for line in lines)
    assert any("epoch 20 of 20" in line for line in lines)
    assert max(len(line) for line in lines if "search" not in line[:10]) <= 80, lines


@pytest.mark.parametrize("name", ["nothing", "empty", "file"])
def test_what_is_no_run_is_one_message(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"folder of a run|is missing"):
        read_status(tmp_path / name, NOW)


def test_a_broken_ledger_is_named_with_its_line(running: Path) -> None:
    with (running / "trials.jsonl").open("a") as file:
        file.write('{"id": "x"}\n{"id": "y"}\n')
    with pytest.raises(UsageError, match=r"trials\.jsonl:11: not a trial"):
        read_status(running, NOW)


def test_a_line_that_is_being_written_hides_no_other(running: Path) -> None:
    whole = (running / "trials.jsonl").read_bytes()
    (running / "trials.jsonl").write_bytes(whole[:-40])
    found = _json(running)
    assert found["trials"]["finished"] == 9
    assert "cut short" in found["notes"][0]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "null",
        '{"id": "../x", "number": 1, "candidate": {}}',
        '{"id": "x", "number": "1", "candidate": {}}',
        '{"id": "x", "number": 1, "candidate": []}',
        "[" * 5000,
    ],
)
def test_a_start_that_is_none_is_passed_over(line: str, tmp_path: Path) -> None:
    (tmp_path / STARTS_FILE).write_text(line + "\n")
    _start(tmp_path, "aaaa", 1, started_at="yesterday")
    (found,) = read_starts(tmp_path).values()
    assert (found.id, found.started_at) == ("aaaa", None)


def test_looking_writes_nothing(running: Path) -> None:
    def content() -> dict[str, tuple[int, int]]:
        files = [*running.rglob("*"), running]
        return {str(f): (f.stat().st_mtime_ns, f.stat().st_size) for f in files}

    before = content()
    status = read_status(running, NOW)
    status_lines(status)
    assert content() == before
    assert dataclasses.is_dataclass(status)


def test_of_starts_that_grow_only_what_is_new_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    parse = starts_module._started

    def noted(line: bytes) -> Any:
        parsed.append(line)
        return parse(line)

    monkeypatch.setattr(starts_module, "_started", noted)
    reader = StartsReader(tmp_path)
    assert reader.read() == {}
    for number, name in enumerate(["aaaa", "bbbb", "cccc"]):
        _start(tmp_path, name, number)
        parsed.clear()
        assert len(reader.read()) == number + 1
        assert [line for line in parsed if line] == [
            (tmp_path / STARTS_FILE).read_bytes().splitlines()[-1]
        ]
    # A line that is being written is read when it is whole.
    whole = (tmp_path / STARTS_FILE).read_bytes()
    line = whole.splitlines(keepends=True)[0].replace(b"aaaa", b"dddd")
    (tmp_path / STARTS_FILE).open("ab").write(line[:20])
    assert set(reader.read()) == {"aaaa", "bbbb", "cccc"}
    (tmp_path / STARTS_FILE).open("ab").write(line[20:])
    assert set(reader.read()) == {"aaaa", "bbbb", "cccc", "dddd"}


def test_starts_that_were_replaced_or_have_lost_lines_are_read_anew(tmp_path: Path) -> None:
    reader = StartsReader(tmp_path)
    for number, name in enumerate(["aaaa", "bbbb"]):
        _start(tmp_path, name, number)
    assert set(reader.read()) == {"aaaa", "bbbb"}
    lines = (tmp_path / STARTS_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / STARTS_FILE).write_bytes(lines[1])
    assert set(reader.read()) == {"bbbb"}
    (tmp_path / "other").write_bytes(lines[0] * 2)
    (tmp_path / "other").replace(tmp_path / STARTS_FILE)
    assert set(reader.read()) == {"aaaa"}
    (tmp_path / STARTS_FILE).unlink()
    assert reader.read() == {}


def test_huge_starts_are_read_to_a_bound_and_their_last_ones_are_there(tmp_path: Path) -> None:
    with (tmp_path / STARTS_FILE).open("wb") as file:
        # Five gigabytes that take no disk: NUL bytes, as a damaged file has them.
        file.truncate(5 * 2**30)
        file.seek(0, 2)
        file.write(b"\n")
    _start(tmp_path, "aaaa", 3)
    tracemalloc.start()
    try:
        reader = StartsReader(tmp_path)
        assert set(reader.read()) == {"aaaa"}
        _start(tmp_path, "bbbb", 4)
        assert set(reader.read()) == {"aaaa", "bbbb"}
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_what_is_kept_of_starts_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts_module, "_MOST_BYTES", 1000)
    reader, seen = StartsReader(tmp_path), set()
    for number in range(40):
        _start(tmp_path, f"id{number:04}", number)
        found = reader.read()
        assert f"id{number:04}" in found
        assert len(found) < 10
        seen |= set(found)
    assert len(seen) == 40
    # One line without an end hides none of those behind it.
    with (tmp_path / STARTS_FILE).open("a") as file:
        file.write("x" * 5000)
    reader.read()
    with (tmp_path / STARTS_FILE).open("a") as file:
        file.write("\n")
    _start(tmp_path, "last", 41)
    assert "last" in reader.read()


def test_starts_that_are_a_pipe_are_a_message_and_nobody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / STARTS_FILE)
    with pytest.raises(UsageError, match=r"started\.jsonl"):
        read_starts(tmp_path)
