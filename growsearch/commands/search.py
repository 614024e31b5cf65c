"""Search command: a study, live, resumed where it stopped, with a report at its end."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.errors import GrowsearchError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console

    from growsearch.pareto import Front
    from growsearch.search.config.study import StudyConfig
    from growsearch.search.ledger.recorder import Recorder
    from growsearch.search.study.study import Study, StudyOptions

INTERRUPTED = 130
EPILOG = examples(
    "growsearch search examples/digits.yaml",
    "growsearch search study.yaml --backend serial --out runs/mine",
    "growsearch search study.yaml --watch",
)


def search(
    study: Annotated[
        Path,
        typer.Argument(
            help="The study, a YAML file.",
            show_default=False,
            autocompletion=completion.study_files,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run's folder [default: runs/NAME].")] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="ray or serial; overrides the study.", autocompletion=completion.backends
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Overrides the study.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew in a new folder.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster: auto on one of its nodes, or HOST:PORT."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the report page while it runs; see watch.")
    ] = False,
) -> None:
    """Search for the best networks; an existing run resumes. Ends with a Pareto report."""
    # Before what takes seconds to import: a time budget is the whole command's.
    started = time.monotonic()
    from growsearch.commands.live.opening import opening
    from growsearch.commands.terminal import Terminal

    console = Terminal()
    with opening(f"Reading {study}; torch and the data take some seconds to load.") as first:
        from growsearch.search.config.file import load_study
        from growsearch.search.ledger.run_folder import fresh_folder
        from growsearch.search.study.study import Study, StudyOptions

        config = _override(load_study(study), backend, trials)
        folder = out or Path("runs") / config.name
        run = Study(config, fresh_folder(folder) if fresh else folder)

        def around(recorder: Recorder) -> AbstractContextManager[None]:
            first.end()
            return _progress(console, run, recorder, watch=watch, started=started)

        options = StudyOptions(
            retry_failed=retry_failed, address=address, started=started, around=around
        )
        front = run_study(run, options)
    _show_end(console, run, front)


def _override(config: StudyConfig, backend: str | None, trials: int | None) -> StudyConfig:
    from growsearch.search.config.file import parse_study

    data = config.to_plain()
    data["search"] |= {k: v for k, v in (("backend", backend), ("trials", trials)) if v}
    return parse_study(data, source="command line")


@contextmanager
def _progress(
    console: Console, run: Study, recorder: Recorder, *, watch: bool, started: float
) -> Iterator[None]:
    from growsearch.report.live.server import served
    from growsearch.search.study.progress import ProgressLine, live_progress

    config = run.config
    for line in run.data_lines:
        console.print(line, soft_wrap=True, markup=False, emoji=False)
    if recorder.resumed:
        wanted = config.search.trials
        left = "" if wanted is None else f", {max(0, wanted - recorder.resumed)} to run"
        console.print(
            f"Resuming {recorder.folder.path.name}: {recorder.resumed} trials are finished{left}."
        )
    for note in run.notes:
        console.print(f"Note: {note}", soft_wrap=True, markup=False)
    with served(recorder.folder.path) if watch else nullcontext() as address:
        if address is not None:
            console.print("Watch it until it ends:", markup=False)
            # On a line of its own: it is copied whole.
            console.print(address, soft_wrap=True, markup=False)
        shown = ProgressLine(config, recorder, elapsed_s=time.monotonic() - started)
        with live_progress(console, shown, recorder):
            yield


def run_study(run: Study, options: StudyOptions) -> Front:
    """Run a study; Ctrl-C and what stops a job end it with what was kept."""
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
    raise typer.Exit(INTERRUPTED)


def _show_end(console: Console, run: Study, front: Front) -> None:
    from growsearch.report import choice_lines, front_table, table_legend, write_report

    failed = [trial for trial in run.trials if trial.failed]
    for incident in run.incidents:
        console.print(f"Note: {incident}", soft_wrap=True, markup=False)
    missing = (run.config.search.trials or 0) - len(run.trials)
    if run.time_was_up is not None:
        console.print(_time_was_up(run), soft_wrap=True, markup=False)
    elif missing > 0:
        console.print(
            f"{missing} of {run.config.search.trials} trials did not finish; "
            "run the same command again to go on."
        )
    if failed:
        console.print(f"{len(failed)} trials failed; the first: {failed[0].error}", soft_wrap=True)
    if not front.points and run.time_was_up is not None:
        written = write_report(run.folder.path)
        console.print(f"No network is to compare yet.\n\nReport: {written['html']}", soft_wrap=True)
        return
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
    for line in choice_lines(run.choice):
        console.print(line, soft_wrap=True, markup=False)
    written = write_report(run.folder.path)
    console.print(f"\nReport: {written['html']}", soft_wrap=True)


def _time_was_up(run: Study) -> str:
    """Say why a search ended before its trials were there, and what becomes of the rest."""
    search, done = run.config.search, len(run.trials)
    wanted = "" if search.trials is None else f" of {search.trials}"
    kept = len(run.folder.read_starts()) - done
    rest = f"; {kept} under way are kept and go on after their last epochs" if kept > 0 else ""
    only = run.trials and all(trial.kind == "baseline" for trial in run.trials)
    rest += "; all of them are baselines, which run first" if only else ""
    return (
        f"The time budget of {search.time_budget:g} s ended the search after {done}{wanted} "
        f"trials: {run.time_was_up}{rest}. Run the same command again to go on."
    )


def _show_devices(console: Console, run: Study, front: Front) -> None:
    """Say how many networks of each kind the front holds, overall and on each device."""
    from growsearch.pareto.quantities import format_quantity
    from growsearch.report.describe import kind_title

    kinds = {trial.id: trial.kind for trial in run.trials}
    # Those of the study, and what else its run holds: baselines, kinds of before an edit.
    names = [kind.name for kind, _ in run.config.trials.items()]
    words = {name: kind_title(name) for name in dict.fromkeys([*names, *kinds.values()])}
    fronts = {"all objectives": front}
    if "accuracy" in front.directions:
        for device in run.config.devices:
            name = f"latency[{device}]"
            if name in front.directions:
                fronts[f"accuracy and {name}"] = front.only(["accuracy", name])
    console.print()
    for title, part in fronts.items():
        found = Counter(kinds[member.id] for member in part.members)
        counts = [f"{found[name]} {word}" for name, word in words.items() if name in found]
        console.print(f"Front over {title}: {', '.join(counts) or 'none'}", markup=False)
    reference = ", ".join(
        f"{name} {format_quantity(value, name)}" for name, value in front.nadir().items()
    )
    share = front.hypervolume_share()
    console.print(
        "Hypervolume: none, as an objective is the same everywhere"
        if share is None
        else f"Hypervolume {100 * share:.1f} % of the box from the worst of each ({reference}) to "
        "the best",
        markup=False,
        soft_wrap=True,
    )
