import errno
import json
import os
import resource
import stat
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from growsearch.errors import GrowsearchError, MachineError
from growsearch.files import (
    append_line,
    folder_inside,
    storage_error,
    write_bytes,
    write_json,
    write_text,
)

LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30)

not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")


@contextmanager
def _largest_file(size_bytes: int):
    """A disk on which no file grows beyond ``size_bytes``: writes there end as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_written_whole_with_its_folders_and_without_leftovers(tmp_path):
    path = tmp_path / "run" / "deep" / "a.txt"
    write_text(path, "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert _names(path.parent) == ["a.txt"]


def test_a_file_gets_the_permissions_that_the_umask_allows(tmp_path):
    kept = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
        append_line(tmp_path / "b", "")
    finally:
        os.umask(kept)
    for name in ("a", "b"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_json_is_indented_and_keeps_its_order(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, None]})
    text = (tmp_path / "a.json").read_text()
    assert list(json.loads(text)) == ["b", "a"]
    assert text.startswith('{\n  "b": 1')
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(value, tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert (tmp_path / "a.json").read_text() == "1\n"


def test_a_full_disk_keeps_the_old_file_and_leaves_no_part_of_the_new_one(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with _largest_file(1000), pytest.raises(GrowsearchError, match="free some space") as caught:
        write_bytes(path, bytes(5000))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["a.bin"]


def test_an_interrupt_while_writing_leaves_no_part_behind(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a", b"old")

    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert _names(tmp_path) == ["a"]


def test_readers_see_the_old_content_or_the_new_one_and_never_a_part(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"0" * 100_000)
    writer = threading.Thread(target=_write_many, args=(path,))
    writer.start()
    while writer.is_alive():
        content = path.read_bytes()
        assert len(content) == 100_000
        assert content == content[:1] * 100_000
    writer.join()
    assert path.read_bytes() == b"9" * 100_000


def _write_many(path: Path) -> None:
    for digit in range(10):
        write_bytes(path, b"%d" % digit * 100_000)


@given(lines=st.lists(LINES, max_size=8))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_come_back_as_they_were_appended(lines, tmp_path):
    path = tmp_path / "ledger"
    path.unlink(missing_ok=True)
    for line in lines:
        append_line(path, line)
    content = path.read_bytes().decode() if lines else ""
    assert content.split("\n") == [*lines, ""]


def test_a_line_break_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no line break"):
        append_line(tmp_path / "ledger", "a\nb")
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize("torn", ['{"id": "b', "{", "x" * 9000])
def test_a_torn_line_is_closed_off_before_the_next_one(torn, tmp_path):
    path = tmp_path / "ledger"
    path.write_bytes(b"first\n" + torn.encode())
    append_line(path, "second")
    append_line(path, "third")
    assert path.read_text().splitlines() == ["first", torn, "second", "third"]


def test_a_line_torn_inside_a_character_does_not_harm_the_next_one(tmp_path):
    path = tmp_path / "ledger"
    path.write_bytes("ü".encode()[:1])
    append_line(path, "second")
    assert path.read_bytes() == b"\xc3\nsecond\n"


@pytest.mark.parametrize("before", [b"", b"first\n", b"first\ntorn"])
def test_a_full_disk_takes_a_partial_line_back(before, tmp_path):
    path = tmp_path / "ledger"
    path.write_bytes(before)
    with _largest_file(len(before) + 5), pytest.raises(GrowsearchError, match="free some space"):
        append_line(path, "does not fit")
    assert path.read_bytes() == before
    append_line(path, "fits")
    assert path.read_text().splitlines() == [*before.decode().splitlines(), "fits"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_what_is_reported_is_the_full_disk_and_not_the_failed_clearing_up():
    with pytest.raises(GrowsearchError, match=r"No space left on device.*free some space"):
        append_line(Path("/dev/full"), "line")


@not_as_root
def test_a_read_only_folder_is_named_with_a_remedy(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    for write in (write_text, append_line):
        with pytest.raises(GrowsearchError, match=r"locked.* or choose another with --out"):
            write(folder / "a", "text")
    assert _names(folder) == []


@pytest.mark.parametrize("write", [write_text, append_line])
def test_a_read_only_disk_is_named_with_a_remedy(write, tmp_path, monkeypatch):
    def refuses(*arguments):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuses)
    with pytest.raises(GrowsearchError, match=r"Read-only.*make the folder writable or choose"):
        write(tmp_path / "a", "text")


@pytest.mark.parametrize("write", [write_text, append_line])
def test_a_folder_in_the_place_of_the_file_is_no_matter_of_space(write, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(GrowsearchError, match=r"directory.*check the path") as caught:
        write(tmp_path / "a", "text")
    assert "free some space" not in str(caught.value)
    assert _names(tmp_path) == ["a"]


def test_a_file_in_the_place_of_a_folder_is_reported(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(GrowsearchError, match="check the path"):
        write_text(tmp_path / "run" / "a", "text")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EFBIG, "free some space"),
        (errno.EACCES, "make the folder writable"),
        (errno.EPERM, "make the folder writable"),
        (errno.EROFS, "make the folder writable"),
        (errno.EIO, "check the path and the disk"),
        (errno.ENOENT, "check the path and the disk"),
    ],
)
def test_each_kind_of_error_has_its_remedy(number, remedy):
    message = str(storage_error(Path("run/a"), OSError(number, os.strerror(number))))
    assert message.startswith(f"cannot write run/a: {os.strerror(number)}.")
    assert remedy in message
    assert "What was finished is kept" in message


@pytest.mark.parametrize("nul", [1, 4095, 4096, 4097, 10_000])
@pytest.mark.parametrize("before", ["", "first\n", "first\ntorn", "x" * 5000 + "\n"])
def test_nul_bytes_at_the_end_are_taken_away_before_the_next_line(before, nul, tmp_path):
    path = tmp_path / "ledger"
    path.write_bytes(before.encode() + bytes(nul))
    append_line(path, "next")
    closed = before if before.endswith("\n") or not before else f"{before}\n"
    assert path.read_text() == f"{closed}next\n"


def test_a_line_is_not_appended_through_a_link_a_hard_link_or_a_pipe(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.link(victim, tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    for name, said in (
        ("link", "is a link"),
        ("dangling", "is a link"),
        ("hard", "hard"),
        ("pipe", "pipe"),
    ):
        with pytest.raises(MachineError, match=said):
            append_line(tmp_path / name, "line")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "a").symlink_to(victim)
    write_text(tmp_path / "a", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "a").read_text() == "new"
    assert not (tmp_path / "a").is_symlink()


def test_a_folder_that_is_not_there_is_not_made_where_that_was_said(tmp_path):
    for write in (
        lambda path: write_text(path, "text", make_folder=False),
        lambda path: write_json(path, {}, make_folder=False),
    ):
        with pytest.raises(MachineError, match="No such file or directory"):
            write(tmp_path / "run" / "a")
    assert not (tmp_path / "run").exists()


def test_a_folder_inside_is_reached_through_no_link_but_the_first(tmp_path):
    (tmp_path / "disk" / "trials").mkdir(parents=True)
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    assert folder_inside(tmp_path / "run", "trials", "a") == tmp_path / "run" / "trials" / "a"
    (tmp_path / "disk" / "trials" / "a").symlink_to(tmp_path)
    with pytest.raises(MachineError, match=r"a is a link to .*remove the link"):
        folder_inside(tmp_path / "run", "trials", "a", "b")
