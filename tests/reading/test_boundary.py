import pytest

from growsearch.errors import GrowsearchError, MachineError, UsageError
from growsearch.reading import reading, reason


class OddError(BaseException):
    """Ends the program: no boundary keeps it."""


def _deep() -> None:
    _deep()


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ValueError("no number\nin two lines"), "no number in two lines"),
        (KeyError("id"), "'id' is missing"),
        (OverflowError("int too large"), "int too large"),
        (FileNotFoundError(2, "No such file or directory"), "No such file or directory"),
        (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
        (AssertionError(), "AssertionError"),
        (ValueError("\x1b[31mred \ud800"), r"\x1b[31mred \ud800"),
        (ValueError("x" * 5000), "x" * 300 + "..."),
    ],
)
def test_any_exception_of_parsing_becomes_one_line_with_file_reason_and_remedy(problem, words):
    with pytest.raises(UsageError) as caught, reading("a\x1bfile", "write it again"):
        raise problem
    assert str(caught.value) == rf"a\x1bfile cannot be read ({words}); write it again"
    assert caught.value.__cause__ is problem


def test_depth_is_told_where_it_was_met():
    with pytest.raises(UsageError, match="nested too deeply"), reading("file", "mend it"):
        _deep()


@pytest.mark.parametrize(
    "problem", [MemoryError(), OSError(24, "Too many open files"), OSError(5, "Input/output error")]
)
def test_what_is_the_machines_fault_is_not_told_as_the_files(problem):
    with (
        pytest.raises(MachineError, match="may be right: free memory"),
        reading("file", "mend it"),
    ):
        raise problem


@pytest.mark.parametrize("problem", [GrowsearchError("ours"), OddError()])
def test_messages_of_ours_and_what_ends_the_program_pass(problem):
    with pytest.raises(type(problem)) as caught, reading("file", "mend it"):
        raise problem
    assert caught.value is problem


def test_the_reason_of_an_exception_without_words_is_its_name():
    assert reason(ZeroDivisionError()) == "ZeroDivisionError"
