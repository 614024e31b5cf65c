"""Export command: a run's network with all that it takes to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands.examples import examples
from growsearch.commands.network_options import CodeOption, RunArgument, TrialOption

EPILOG = examples(
    "growsearch export runs/digits",
    "growsearch export runs/digits --trial 3f2a --out networks/digits",
)


def export(
    run: RunArgument,
    trial: TrialOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The export's folder [default: RUN/export/ID].")
    ] = None,
    onnx: Annotated[
        bool | None,
        typer.Option(
            "--onnx/--no-onnx",
            help="Write ONNX files, too, checked in ONNX Runtime [default: if it is installed].",
            show_default=False,
        ),
    ] = None,
    code: CodeOption = None,
) -> None:
    """Export a network: programs, weights, preprocessing, classes and card, proven equal."""
    from growsearch.commands.one_network.chosen import chosen_trial
    from growsearch.commands.select import export_lines
    from growsearch.commands.terminal import say
    from growsearch.export.onnx_file import missing_packages
    from growsearch.report.describe import describe_trial
    from growsearch.search.study.trial_export import export_trial
    from search_spaces.code_origin import CodeOfRun

    found = chosen_trial(run, trial)
    missing = missing_packages()
    wanted = not missing if onnx is None else onnx
    result = export_trial(run, found, out, onnx=wanted, names=CodeOfRun(code))
    whose = "the study's choice" if trial is None else "as asked"
    say(f"Trial {found.id}, {whose}: {describe_trial(found)}")
    for line in export_lines(result):
        say(line)
    if onnx is None and missing:
        say(f"No ONNX files: {missing[0]} is not installed (pip install 'growsearch[onnx]').")
    if onnx and result.onnx_difference is None:
        raise typer.Exit(1)
