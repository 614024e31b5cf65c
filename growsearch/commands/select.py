"""Select command: the best network of a run inside a budget, exported and proven equal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from growsearch.commands.examples import examples

if TYPE_CHECKING:
    from growsearch.export import ExportResult

EPILOG = examples(
    "growsearch select runs/digits --max 'latency[cpu]=0.5ms' --min accuracy=0.95",
    "growsearch select runs/digits --max 'latency[cpu]=0.5ms' --confidence 90%",
    "growsearch select runs/digits --prefer weights --weight accuracy=2",
    "growsearch select runs/digits --max macs=200k --prefer knee --onnx",
)


def select(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    most: Annotated[
        list[str] | None, typer.Option("--max", help="An upper bound, NAME=VALUE; repeat it.")
    ] = None,
    least: Annotated[
        list[str] | None, typer.Option("--min", help="A lower bound, NAME=VALUE; repeat it.")
    ] = None,
    prefer: Annotated[
        str,
        typer.Option(
            help="accuracy: the best of the first objective; knee: the nearest to the best of all; "
            "hypervolume: what dominates most by itself; weights: by --weight."
        ),
    ] = "accuracy",
    weight: Annotated[
        list[str] | None,
        typer.Option(help="OBJECTIVE=NUMBER for --prefer weights, 1 where not given; repeat it."),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(
            help="How sure the bounds must be met, for example 90%, given how far latencies may be "
            "off [default: by the values found]."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The export's folder [default: RUN/export/ID].")
    ] = None,
    code: Annotated[
        Path | None, typer.Option(help="Where own modules of the run are found; they are imported.")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx, too, checked in ONNX Runtime.")
    ] = False,
) -> None:
    """Choose the best network inside a budget and export it, proven equal."""
    from growsearch.commands.terminal import say
    from growsearch.pareto import parse_bound, parse_share, parse_weight
    from growsearch.pareto import select as choose
    from growsearch.report import choice_lines, read_run

    found = read_run(run)
    bounds = [parse_bound(text, "max") for text in most or []]
    bounds += [parse_bound(text, "min") for text in least or []]
    front = found.front()
    choice = choose(
        front,
        bounds,
        prefer,  # type: ignore[arg-type]
        weights=dict(parse_weight(text) for text in weight or []),
        confidence=None if confidence is None else parse_share(confidence, "--confidence"),
    )
    written = (*(most or []), *(least or []))
    for line in choice_lines(choice, front, found.trials, written):
        say(line)
    if choice.chosen is None:
        raise typer.Exit(1)
    from growsearch.search.study.trial_export import export_trial
    from search_spaces.code_origin import CodeOfRun

    typer.echo()
    result = export_trial(run, choice.chosen, out, onnx=onnx, names=CodeOfRun(code))
    for line in export_lines(result):
        say(line)
    if onnx and result.onnx_difference is None:
        raise typer.Exit(1)


def export_lines(result: ExportResult) -> list[str]:
    """Return what is said of an export: its files, what was not written, what was proven."""
    from growsearch.export.model_card import CARD_FILE

    names = ", ".join([path.name for path in result.files] + [CARD_FILE])
    return [
        f"Exported to {result.folder}:",
        f"  {names}",
        f"  weights: {result.weight_bytes:,} bytes, {result.weight_bytes / result.plain_bytes:.2f} "
        "of the size with every zero written",
        *left_out_lines(result),
        f"Reloaded; {_proven(result)}.",
        *input_lines(result),
    ]


def left_out_lines(result: ExportResult) -> list[str]:
    """Return a line for each file that was not written: why."""
    return [f"  no {name}: {why}" for name, why in result.left_out.items()]


def input_lines(result: ExportResult) -> list[str]:
    """Return how the network is run on image files, or why its input is raw."""
    from growsearch.export.loader import LOADER_FILE

    about = result.preprocessing
    if about.images is None:
        return [f"Its input is raw: {about.raw_because}."]
    if not about.images.of_files:
        return [f"It reads images of {len(about.images.mean)} channels, which no picture file has."]
    if result.reads_files:
        return [f"Run it on images: python {result.folder / LOADER_FILE} photo.png"]
    return [f"Run it on images: growsearch predict {result.folder} photo.png"]


def _proven(result: ExportResult) -> str:
    if not result.differences:
        return "the weights give the same outputs to the bit"
    apart = ", ".join(f"{most:.1g} ({name})" for name, most in result.differences.items())
    return f"outputs differ by at most {apart}"
