"""How is growsearch used from a terminal? One command a task; heavy imports wait for it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from growsearch.commands import compare as compare_command
from growsearch.commands import devices as devices_command
from growsearch.commands import doctor as doctor_command
from growsearch.commands import evaluate as evaluate_command
from growsearch.commands import grow as grow_command
from growsearch.commands import profile as profile_command
from growsearch.commands import submit as submit_command
from growsearch.commands.examples import examples
from growsearch.commands.last_boundary import DEBUG, run_to_exit
from growsearch.errors import GrowsearchError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console

    from growsearch.pareto import Front
    from growsearch.search.config.study import StudyConfig
    from growsearch.search.ledger.recorder import Recorder
    from growsearch.search.study.study import Study, StudyOptions

app = typer.Typer(
    name="growsearch",
    help="Which network should I train for this budget on this hardware?",
    epilog=examples("growsearch doctor", "growsearch search examples/digits.yaml"),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_INTERRUPTED = 130
# The one format that needs Optuna, which only the search knows.
OPTUNA = "optuna"


@app.command(
    epilog=examples(
        "growsearch search examples/digits.yaml",
        "growsearch search study.yaml --backend serial --out runs/mine",
    )
)
def search(
    study: Annotated[Path, typer.Argument(help="The study, a YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The run's folder [default: runs/NAME].")] = None,
    backend: Annotated[str | None, typer.Option(help="ray or serial; overrides the study.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Overrides the study.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew in a new folder.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster: auto on one of its nodes, or HOST:PORT."),
    ] = None,
) -> None:
    """Search for the best networks; an existing run resumes. Ends with a Pareto report."""
    from growsearch.commands.terminal import Terminal
    from growsearch.search.config.file import load_study
    from growsearch.search.ledger.run_folder import fresh_folder
    from growsearch.search.study.study import Study, StudyOptions

    config = _override(load_study(study), backend, trials)
    folder = out or Path("runs") / config.name
    console = Terminal()
    run = Study(config, fresh_folder(folder) if fresh else folder)
    options = StudyOptions(
        retry_failed=retry_failed,
        address=address,
        around=lambda recorder: _progress(console, config, recorder),
    )
    front = _run(run, options)
    _show_end(console, run, front)


def _override(config: StudyConfig, backend: str | None, trials: int | None) -> StudyConfig:
    from growsearch.search.config.file import parse_study

    data = config.to_plain()
    data["search"] |= {k: v for k, v in (("backend", backend), ("trials", trials)) if v}
    return parse_study(data, source="command line")


def _progress(
    console: Console, config: StudyConfig, recorder: Recorder
) -> AbstractContextManager[None]:
    from growsearch.search.study.progress import ProgressLine, live_progress

    if recorder.resumed:
        left = config.search.trials - recorder.resumed
        console.print(
            f"Resuming {recorder.folder.path.name}: {recorder.resumed} trials are finished, "
            f"{max(0, left)} to run."
        )
    for note in recorder.notes:
        console.print(f"Note: {note}", soft_wrap=True)
    return live_progress(console, ProgressLine(config, recorder), recorder)


def _run(run: Study, options: StudyOptions) -> Front:
    # What stops a job on a cluster ends like Ctrl-C: with what was kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run.run(options)
    except KeyboardInterrupt:
        _interrupted(run)


def _interrupted(run: Study) -> NoReturn:
    print(
        f"\nStopped. {len(run.trials)} finished trials are kept in {run.folder.path}; "
        "run the same command again to go on: what was under way continues after its last epoch.",
        file=sys.stderr,
    )
    raise typer.Exit(_INTERRUPTED)


def _show_end(console: Console, run: Study, front: Front) -> None:
    from growsearch.pareto import select
    from growsearch.report import choice_lines, front_table, table_legend, write_report

    failed = [trial for trial in run.trials if trial.failed]
    for incident in run.incidents:
        console.print(f"Note: {incident}", soft_wrap=True, markup=False)
    missing = run.config.search.trials - len(run.trials)
    if missing > 0:
        console.print(
            f"{missing} of {run.config.search.trials} trials did not finish; "
            "run the same command again to go on."
        )
    if failed:
        console.print(f"{len(failed)} trials failed; the first: {failed[0].error}", soft_wrap=True)
    if not front.points:
        raise GrowsearchError(
            f"no trial of {run.folder.path} finished inside the constraints; "
            "loosen them, or see the reasons in trials.jsonl"
        )
    console.print(front_table(front, run.trials))
    console.print(table_legend(front, run.trials), soft_wrap=True, markup=False)
    for note in run.check_notes:
        console.print(f"Note: {note}", soft_wrap=True, markup=False)
    _show_devices(console, run, front)
    console.print()
    bounds = run.config.select.bounds()
    wishes = run.config.select
    choice = select(
        front, bounds, wishes.prefer, weights=wishes.weights, confidence=wishes.confidence
    )
    for line in choice_lines(choice, front, run.trials):
        console.print(line, soft_wrap=True, markup=False)
    written = write_report(run.folder.path)
    console.print(f"\nReport: {written['html']}", soft_wrap=True)


def _show_devices(console: Console, run: Study, front: Front) -> None:
    """Say how many networks of each kind the front holds, overall and on each device."""
    from growsearch.pareto.quantities import format_quantity

    kinds = {trial.id: trial.kind for trial in run.trials}
    words = [("growth", "grown"), ("sparse", "sparse")]
    if run.config.trials.tickets is not None:
        words.append(("tickets", "from tickets"))
    fronts = {"all objectives": front}
    if "accuracy" in front.directions:
        for device in run.config.devices:
            name = f"latency[{device}]"
            if name in front.directions:
                fronts[f"accuracy and {name}"] = front.only(["accuracy", name])
    console.print()
    for title, part in fronts.items():
        counts = [f"{sum(kinds[m.id] == k for m in part.members)} {word}" for k, word in words]
        console.print(f"Front over {title}: {', '.join(counts)}", markup=False)
    reference = ", ".join(
        f"{name} {format_quantity(value, name)}" for name, value in front.nadir().items()
    )
    console.print(
        f"Hypervolume {front.hypervolume():.4g} up to the worst of each: {reference}",
        markup=False,
        soft_wrap=True,
    )


@app.command(epilog=examples("growsearch report runs/digits --format html --format csv"))
def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="html, md, csv, json, png, svg, pdf, tex, parquet or optuna (a file that "
            "optuna-dashboard opens); repeat it, or all "
            "[default: html, md, csv, json, png].",
        ),
    ] = None,
    code: Annotated[
        Path | None,
        typer.Option(help="Where own modules of the run are found; only optuna imports them."),
    ] = None,
) -> None:
    """Write the report of a run again: a page, texts, tables and pictures of the front."""
    from growsearch.commands.terminal import say
    from growsearch.report import FORMATS, USUAL, write_report

    wanted = (*FORMATS, OPTUNA) if formats == ["all"] else tuple(formats or USUAL)
    for name in wanted:
        if name not in (*FORMATS, OPTUNA):
            valid = ", ".join((*FORMATS, OPTUNA))
            raise UsageError(f"--format: unknown {name!r}; valid: {valid}, or all")
    for path in write_report(run, tuple(f for f in wanted if f != OPTUNA)).values():
        say(path)
    if OPTUNA in wanted:
        from growsearch.search.samplers.optuna_storage import write_optuna_storage

        _find_code(code)
        path = write_optuna_storage(run)
        say(path)
        say(f"Open it with: optuna-dashboard {path}")


@app.command(
    epilog=examples(
        "growsearch select runs/digits --max 'latency[cpu]=0.5ms' --min accuracy=0.95",
        "growsearch select runs/digits --max 'latency[cpu]=0.5ms' --confidence 90%",
        "growsearch select runs/digits --prefer weights --weight accuracy=2",
        "growsearch select runs/digits --max macs=200k --prefer knee --onnx",
    )
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

    _find_code(code)
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
    _export(run, choice.chosen.id, out, onnx)


def _find_code(folder: Path | None) -> None:
    if folder is not None:
        from search_spaces.user_code import add_code_folder

        add_code_folder(folder)


def _export(run: Path, name: str, out: Path | None, onnx: bool) -> None:
    from growsearch.commands.export_lines import export_lines
    from growsearch.commands.terminal import say
    from growsearch.commands.trial_card import trial_card
    from growsearch.export import export_network, normal_inputs, token_inputs, write_card
    from growsearch.report import read_run
    from growsearch.trial.network import Network, build_network

    found = read_run(run)
    trial = found.trial(name)
    if trial.network is None:
        raise UsageError(f"trial {name} of {run} has no network in the ledger; run it again")
    network = Network.from_json(trial.network)
    result = export_network(
        trial.network,
        run / "trials" / name / "weights.safetensors",
        out or run / "export" / name,
        build_network,
        draw_inputs=token_inputs(network.num_classes) if network.reads_words else normal_inputs,
        onnx=onnx,
    )
    write_card(trial_card(found, trial, result.output_shape, words=network.reads_words), result)
    typer.echo()
    for line in export_lines(result):
        say(line)


_LISTS = "spaces, devices, transforms, distributions, updaters, tickets, datasets, samplers"


@app.command("list", epilog=examples("growsearch list spaces"))
def list_names(
    what: Annotated[str, typer.Argument(help=f"One of: {_LISTS}.", show_default=False)],
) -> None:
    """List what there is, one line each."""
    lines = _listing(what)
    width = max(map(len, lines))
    for name, description in lines.items():
        typer.echo(f"{name:<{width}}  {description}".rstrip())


def _listing(what: str) -> dict[str, str]:
    if what == "spaces":
        from search_spaces import SEARCH_SPACES

        return {name: space.description for name, space in SEARCH_SPACES.items()}
    if what == "devices":
        from growsearch.commands.devices import device_lines

        return device_lines()
    if what == "transforms":
        from growsearch.transforms import DESCRIPTIONS

        return dict(DESCRIPTIONS)
    if what in ("distributions", "updaters"):
        from growsearch.sparsity import MASK_UPDATERS, SPARSITY_DISTRIBUTIONS

        registry = SPARSITY_DISTRIBUTIONS if what == "distributions" else MASK_UPDATERS
        return dict.fromkeys(registry, "")
    if what == "tickets":
        from growsearch.tickets import TICKET_SCHEMES

        return {name: scheme.description for name, scheme in TICKET_SCHEMES.items()}
    if what == "datasets":
        from growsearch.datasets import DESCRIPTIONS as DATASET_DESCRIPTIONS

        return dict(DATASET_DESCRIPTIONS)
    if what == "samplers":
        from growsearch.search.samplers.registry import AUTO, SAMPLERS

        return dict.fromkeys((AUTO, *SAMPLERS), "")
    raise UsageError(f"list: unknown {what!r}; valid: {_LISTS}")


app.command("compare", epilog=compare_command.EPILOG)(compare_command.compare)
app.command("devices", epilog=devices_command.EPILOG)(devices_command.devices)
app.command("doctor", epilog=doctor_command.EPILOG)(doctor_command.doctor)
app.command("evaluate", epilog=evaluate_command.EPILOG)(evaluate_command.evaluate)
app.command("grow", epilog=grow_command.EPILOG)(grow_command.grow)
app.command("profile", epilog=profile_command.EPILOG)(profile_command.profile)
app.command("submit", epilog=submit_command.EPILOG)(submit_command.submit)


def _version(wanted: bool) -> None:
    if wanted:
        from growsearch import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run the command line; a problem is one line and an exit code, no traceback."""
    run_to_exit(app)
