"""Options of commands about one network of a run: which run, which trial, whose code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion

RunArgument = Annotated[
    Path,
    typer.Argument(
        help="The run's folder.", show_default=False, autocompletion=completion.run_folders
    ),
]
TrialOption = Annotated[
    str | None,
    typer.Option(
        help="A trial's id or its unique beginning [default: the study's choice].",
        autocompletion=completion.trial_ids,
    ),
]
CodeOption = Annotated[
    Path | None, typer.Option(help="Where own modules of the run are found; they are imported.")
]
