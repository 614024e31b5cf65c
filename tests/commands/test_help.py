"""Help fits a terminal of 80 columns, and every command shows how it is used."""

import shlex

import pytest
import typer
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands.examples import examples

COMMANDS = sorted(typer.main.get_command(app).commands)


def help_of(*command):
    return CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"}).output


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_is_at_most_80_columns_wide_and_has_an_example(command):
    lines = help_of(*command).splitlines()
    assert max(map(len, lines)) <= 80
    start = next(i for i, line in enumerate(lines) if line.strip() in ("Example:", "Examples:"))
    shown = shlex.split("\n".join(lines[start + 1 :]))
    assert shown[0] == "growsearch"
    if command:
        assert shown[1] == command[0]


def test_an_example_can_be_copied_as_it_stands():
    command = "growsearch grow " + " ".join(f"--option{k} 'value[{k}]'" for k in range(9))
    text = examples(command).partition("Example:\n")[2]
    assert text.count("\\\n") >= 2
    assert shlex.split(text.replace("\\\n", " ")) == shlex.split(command)


def test_completion_can_be_installed():
    assert "--install-completion" in help_of()
