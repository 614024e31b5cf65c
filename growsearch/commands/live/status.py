"""Status command: what a run does, from its folder alone, on any machine that sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples

EPILOG = examples(
    "growsearch status runs/digits",
    "growsearch status runs/digits --json",
)


def status(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder.", show_default=False, autocompletion=completion.run_folders
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say what a run does: trials, epochs, time left, best so far, and whether it is alive.

    Works in any terminal and on any node that sees the folder, while the run goes on and after.
    """
    from growsearch.commands.terminal import say
    from growsearch.report.live.status import read_status
    from growsearch.report.live.status_text import status_lines

    found = read_status(run)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    for line in status_lines(found):
        say(line)
