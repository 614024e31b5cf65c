"""Table of a terminal: one look in all commands, and no figure cut at 80 columns."""

import io
from pathlib import Path

from rich.console import Console

import growsearch
from growsearch.report.terminal_table import terminal_table


def _lines(table: object, width: int = 80) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_table_has_a_line_under_its_head_and_columns_two_apart() -> None:
    table = terminal_table([("network", "text"), ("accuracy", "number")], "The front")
    table.add_row("3f2a", "9.1 %")
    table.add_row("81ab02", "98.33 %")
    assert _lines(table) == [
        "The front",
        "network  accuracy",
        "─────────────────",
        "3f2a        9.1 %",
        "81ab02    98.33 %",
    ]


def test_two_columns_may_have_one_name_and_only_text_that_folds_is_broken() -> None:
    columns = [("network", "text"), ("cpu", "number"), ("cpu", "number"), ("made by", "folds")]
    table = terminal_table(columns)
    table.add_row("3f2a91c0de", "1.16 ms", "0.42 mJ", "sparse_wide 63 % erk static " * 3)
    lines = _lines(table, 60)
    assert lines[2].startswith("3f2a91c0de  1.16 ms  0.42 mJ  sparse_wide 63 %")
    assert len(lines) > 4
    assert max(map(len, lines)) <= 60


def test_no_command_draws_a_table_of_its_own() -> None:
    package = Path(growsearch.__file__).parent
    own = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if " Table(" in file.read_text() and "class " + "Table" not in file.read_text()
    ]
    assert own == ["report/terminal_table.py"]
