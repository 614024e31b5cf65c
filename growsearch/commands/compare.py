"""Compare command: several runs under one reference point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples

EPILOG = examples(
    "growsearch compare runs/tpe-0 runs/tpe-1 runs/ours-0 runs/ours-1",
    "growsearch compare runs/a runs/b --out comparison",
)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Two run folders or more.",
            show_default=False,
            autocompletion=completion.run_folders,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the files go.")] = Path("comparison"),
) -> None:
    """Hold runs against each other: common front, hypervolume, IGD+, attainment surfaces.

    Runs of studies with one name are a group, such as seeds of one search; groups of two runs or
    more are tested for a difference.
    """
    from growsearch.commands.terminal import say
    from growsearch.comparison import compare as hold_together
    from growsearch.comparison import comparison_lines, write_comparison
    from growsearch.report import read_run

    comparison = hold_together([read_run(run) for run in runs])
    for line in comparison_lines(comparison):
        say(line)
    say("")
    for path in write_comparison(comparison, out):
        say(path)
