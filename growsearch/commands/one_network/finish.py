"""Finish command: the chosen network at full length, under several seeds; the test comes last."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from growsearch.commands.examples import examples
from growsearch.commands.network_options import CodeOption, RunArgument, TrialOption

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from growsearch.export import ExportResult
    from growsearch.pareto import Bound
    from growsearch.search.study.finishing import Finished, FinishPlan
    from growsearch.training import EpochRecord
    from growsearch.trial.record import Trial
    from growsearch.trial.run import Listener

EPILOG = examples(
    "growsearch finish runs/digits",
    "growsearch finish runs/digits --epochs 100 --seeds 5",
    "growsearch finish runs/digits --trial 3f2a --out runs/digits-final",
)


def finish(
    run: RunArgument,
    trial: TrialOption = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs [default: four times its trial's].")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train it so many times, each anew.")] = 3,
    train_only: Annotated[
        bool,
        typer.Option("--train-only", help="Leave the validation examples out of the training."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder, which resumes [default: RUN/finished/ID-EPOCHS]."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads to train with [default: the study's].")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Train the chosen network at full length under several seeds, then test and export it.

    It learns the training and validation examples together, from the start, as its trial did but
    for longer, and is judged by the test examples at the very end. The network of the first seed is
    exported, whatever the test says of the others. Stopped, the same command goes on. 1 is returned
    where a seed failed: the others are kept, and the same command tries that one again.
    """
    from growsearch.commands.one_network.chosen import chosen_trial
    from growsearch.commands.terminal import Terminal, say
    from growsearch.report.run_data import read_run
    from growsearch.search.study.finishing import FinishOptions, plan_finish
    from growsearch.search.study.finishing import finish as finished_by
    from growsearch.search.study.trial_export import export_trial
    from search_spaces.code_origin import CodeOfRun

    chosen = chosen_trial(run, trial)
    console = Terminal()
    progress = _FinishProgress(console)
    options = FinishOptions(
        epochs=epochs,
        seeds=seeds,
        with_validation=not train_only,
        threads=threads,
        names=CodeOfRun(code),
        report=progress.listener,
    )
    plan = plan_finish(run, chosen, options, out)
    for line in plan_lines(plan):
        say(line)
    with progress.shown(plan):
        result = finished_by(plan, options)
    search = read_run(run)
    for line in finished_lines(result, (*search.wishes.bounds, *search.constraints)):
        say(line)
    place = result.folder / "export"
    export = export_trial(result.folder, result.first, place, names=CodeOfRun(code))
    _tell(result, export)


def _tell(result: Finished, export: ExportResult) -> None:
    """Say what was exported and which seeds failed, and end with 1 where one did."""
    from growsearch.commands.select import export_lines
    from growsearch.commands.terminal import say

    say("")
    for line in export_lines(export):
        say(line)
    if result.failed:
        say("")
        for line in failed_lines(result):
            say(line)
        raise typer.Exit(1)


def plan_lines(plan: FinishPlan) -> list[str]:
    """Return what will be done, and how long that takes."""
    from growsearch.commands.terminal import counted
    from growsearch.report.describe import describe_trial
    from growsearch.report.live.time_left import clock
    from growsearch.search.study.finishing import epochs_of

    learned = "training and validation" if plan.study.whole else "training"
    before = epochs_of(plan.before)
    lines = [
        f"Trial {plan.before.id}: {describe_trial(plan.before)}",
        f"Training it for {plan.epochs} epochs on the {learned} examples, "
        f"{counted(len(plan.seeds), 'seed')}; in its trial it had {counted(before, 'epoch')}.",
    ]
    lines.append(f"Its folder, to follow with growsearch status or watch: {plan.folder.path}")
    if plan.forecast_s:
        lines.append(f"About {clock(plan.forecast_s)} in all, by the time of its trial.")
    return lines


def finished_lines(result: Finished, bounds: Sequence[Bound] = ()) -> list[str]:
    """Return the outcome: the test's figures over seeds, and what the network costs.

    ``bounds`` are what the search's study asks for: those that the network is outside of are told.
    """
    first = result.first
    costs = ("macs", "parameters", *(f"latency[{name}]" for name in first.latency))
    return [
        "",
        *(f"Note: {note}" for note in result.notes),
        *(_over_seeds(result, metric) for metric in _tested(first)),
        *(_cost(result, metric) for metric in costs),
        *_outside(result, bounds),
    ]


def failed_lines(result: Finished) -> list[str]:
    """Return which seeds failed and why, and what can be done."""
    told = [f"Seed {index + 1} failed: {trial.error}" for index, trial in result.failed.items()]
    kept = "seeds are" if len(result.trials) > 1 else "seed is"
    return [
        *told,
        f"The other {kept} kept; the same command trains what failed again.",
    ]


def _outside(result: Finished, bounds: Sequence[Bound]) -> list[str]:
    from growsearch.pareto import format_bound, format_quantity
    from growsearch.report.describe import title

    first, before = result.first.metrics, result.before.metrics
    lines = []
    for bound in dict.fromkeys(bounds):
        name = bound.objective
        if name in first and bound.excess(first[name]) > 0:
            then = f"; in its trial it had {format_quantity(before[name], name)}" * (name in before)
            lines.append(
                f"Note: {title(name)} {format_quantity(first[name], name)} is outside "
                f"{format_bound(bound)}, which the study asks for{then}."
            )
    return lines


def _tested(trial: Trial) -> list[str]:
    return [name for name in trial.metrics if name.startswith("test_")]


def _over_seeds(result: Finished, metric: str) -> str:
    from growsearch.pareto import format_quantity
    from growsearch.report.describe import title

    mean, deviation = result.mean_and_deviation(metric)
    told = f"{title(metric)}: {format_quantity(mean, metric)}"
    values = ", ".join(format_quantity(value, metric) for value in result.values(metric))
    if deviation is not None:
        told += (
            f" ± {format_quantity(deviation, metric)} over {len(result.trials)} seeds ({values})"
        )
    before = result.before.metrics.get(metric)
    return told + ("" if before is None else f"; in its trial {format_quantity(before, metric)}")


def _cost(result: Finished, metric: str) -> str:
    from growsearch.pareto import format_quantity
    from growsearch.report.describe import title

    values = result.values(metric)
    low, high = (format_quantity(value, metric) for value in (min(values), max(values)))
    return f"{title(metric)}: {low}" + ("" if low == high else f" to {high}")


class _FinishProgress:
    """A bar in a terminal, a line every tenth of a seed's epochs elsewhere."""

    def __init__(self, console: Any) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._epochs, self._seeds = 0, 0
        self._started = time.monotonic()

    @contextmanager
    def shown(self, plan: FinishPlan) -> Iterator[None]:
        """Show it while the networks train."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._epochs, self._seeds = plan.epochs, len(plan.seeds)
        self._started = time.monotonic()
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as bar:
            self._bar = bar
            self._task = bar.add_task("starting", total=self._epochs * self._seeds)
            yield
            self._bar = None

    def listener(self, seed: int) -> Listener:
        """Return what hears of one seed's epochs."""
        from growsearch.trial.run import Listener

        def epoch(record: EpochRecord) -> None:
            self._epoch(seed, record)

        def resumed(records: Sequence[EpochRecord]) -> None:
            self._console.print(
                f"Seed {seed + 1}: going on after epoch {records[-1].epoch} of {self._epochs}."
            )

        return Listener(epoch, resumed)

    def _epoch(self, seed: int, record: EpochRecord) -> None:
        from growsearch.report.live.time_left import clock

        told = f"seed {seed + 1} of {self._seeds}, epoch {record.epoch} of {self._epochs}"
        if self._bar is not None and self._task is not None:
            done = seed * self._epochs + record.epoch
            self._bar.update(self._task, description=told, completed=done)
            return
        if record.epoch * 10 // self._epochs > (record.epoch - 1) * 10 // self._epochs:
            self._console.print(f"{told}, {clock(time.monotonic() - self._started)}")
