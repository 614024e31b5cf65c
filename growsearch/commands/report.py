"""Report command: the pages, texts, tables and pictures of a run, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.errors import UsageError

# The one format that needs Optuna, which only the search knows.
OPTUNA = "optuna"
EPILOG = examples("growsearch report runs/digits --format html --format csv")


def report(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder.", show_default=False, autocompletion=completion.run_folders
        ),
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="html, md, csv, json, png, svg, pdf, tex, parquet or optuna (a file that "
            "optuna-dashboard opens); repeat it, or all "
            "[default: html, md, csv, json, png].",
            autocompletion=completion.formats,
        ),
    ] = None,
) -> None:
    """Write the report of a run again: a page, texts, tables and pictures of the front."""
    from growsearch.commands.terminal import say
    from growsearch.garbage import no_cycle_search_at_exit
    from growsearch.report import FORMATS, USUAL, write_report

    no_cycle_search_at_exit()
    wanted = (*FORMATS, OPTUNA) if formats == ["all"] else tuple(formats or USUAL)
    for name in wanted:
        if name not in (*FORMATS, OPTUNA):
            valid = ", ".join((*FORMATS, OPTUNA))
            raise UsageError(f"--format: unknown {name!r}; valid: {valid}, or all")
    for path in write_report(run, tuple(f for f in wanted if f != OPTUNA)).values():
        say(path)
    if OPTUNA in wanted:
        from growsearch.search.samplers.optuna_storage import write_optuna_storage

        path = write_optuna_storage(run)
        say(path)
        say(f"Open it with: optuna-dashboard {path}")
