import io
import os
import stat
import sys
from pathlib import Path

import pytest

from cost_models import ProfileError
from growsearch import cli
from growsearch.commands.last_boundary import run_to_exit
from growsearch.errors import GrowsearchError, UsageError
from search_spaces import SearchSpaceError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Let temporary files be made in a folder of the test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("GROWSEARCH_DEBUG", raising=False)
    return tmp_path


def ended(capsys, problem) -> tuple[int, str]:
    def command():
        raise problem

    with pytest.raises(SystemExit) as caught:
        run_to_exit(command)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("\n")
    line = printed.err.removesuffix("\n")
    assert line.isprintable()
    return int(caught.value.code), line


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (UsageError("key = 1: rule; remedy"), 2),
        (GrowsearchError("key = 1: rule; remedy"), 1),
        (ProfileError("key = 1: rule; remedy"), 1),
        (SearchSpaceError("key = 1: rule; remedy"), 1),
    ],
)
def test_a_known_problem_is_its_message_and_no_file(capsys, temporary, problem, code):
    assert ended(capsys, problem) == (code, "Error: key = 1: rule; remedy")
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    "problem",
    [
        ValueError("something\nin two lines"),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        OverflowError("int too large to convert to float"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        KeyError("\x1b[31m"),
        AssertionError(),
    ],
)
def test_anything_else_is_one_line_and_its_traceback_is_in_the_file_that_it_names(
    capsys, temporary, problem
):
    code, line = ended(capsys, problem)
    assert code == 1
    assert line.startswith(f"Error: {type(problem).__name__}")
    assert "Traceback" not in line
    (kept,) = temporary.iterdir()
    assert str(kept) in line
    assert "Traceback (most recent call last)" in kept.read_text()
    assert "test_last_boundary.py" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_without_any_folder_for_it_the_line_says_how_to_see_the_traceback(
    capsys, temporary, monkeypatch
):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    code, line = ended(capsys, ZeroDivisionError("division by zero"))
    assert code == 1
    assert line == (
        "Error: ZeroDivisionError: division by zero. This should not happen; run it again with "
        "--debug to see where"
    )


@pytest.mark.parametrize("problem", [ValueError("x"), UsageError("y")])
def test_the_debug_variable_shows_the_traceback_instead(monkeypatch, temporary, problem):
    monkeypatch.setenv("GROWSEARCH_DEBUG", "1")

    def command():
        raise problem

    with pytest.raises(type(problem)):
        run_to_exit(command)
    assert not list(temporary.iterdir())


def test_exits_and_interrupts_pass():
    for problem in (SystemExit(3), KeyboardInterrupt()):

        def command(problem=problem):
            raise problem

        with pytest.raises(type(problem)):
            run_to_exit(command)


def test_a_message_with_escape_codes_shows_them(capsys, temporary):
    assert ended(capsys, UsageError("a\x1b[31m\n  b")) == (2, r"Error: a\x1b[31m b")


def test_the_command_line_ends_in_the_boundary(capsys, temporary, monkeypatch):
    def broken():
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert "RuntimeError: a fault of ours" in capsys.readouterr().err


def test_a_name_that_the_terminal_has_no_letters_for_is_written_out(monkeypatch, temporary):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    run_to_exit(lambda: print(Path(os.fsdecode(b"\xff")), "é"))
    sys.stdout.flush()
    assert buffer.getvalue() == b"\\udcff \\xe9\n"
