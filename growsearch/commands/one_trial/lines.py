"""Lines of a growing or pruned network: one an epoch, the step in progress, a summary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from growsearch.commands.select import input_lines, left_out_lines
from growsearch.growth.budget.projection import NEAR
from growsearch.kinds import GrowthEpoch, GrowthSpace, PruneSpace, candidate_from_json
from growsearch.kinds.domain import is_only, values_of
from growsearch.pareto import format_quantity
from growsearch.report.describe import kind_title
from growsearch.report.kept_layers import read_kept_layers
from growsearch.report.live.time_left import clock
from growsearch.trial.run import Listener

if TYPE_CHECKING:
    from growsearch.export import ExportResult
    from growsearch.search.ledger.recorder import Recorder
    from growsearch.search.study.study import Study
    from growsearch.training import EpochRecord
    from growsearch.trial.record import Trial

_HEADER = "    epoch  accuracy   live        cost  of budget  MACs saved  time left"
# The time left is judged by the last epochs: growing ones are faster than those that follow.
_RECENT = 3
# Of layers that could not grow.
_TOLD = 5


class GrowProgress:
    """Hears of every step and epoch of a study's one trial under a budget, and shows it."""

    def __init__(self, console: Console, run: Study) -> None:
        spaces = (space for _, space in run.config.trials.items())
        (growth,) = (s for s in spaces if isinstance(s, GrowthSpace | PruneSpace))
        twice = isinstance(growth, GrowthSpace) and is_only(growth.direct_design, True)
        self._console = console
        self._epochs = run.config.trials.max_epochs * (1 + twice)
        self._budget = growth.bounds if isinstance(growth, GrowthSpace) else growth.budget
        self._metric = self._budget.metric.replace("latency_s[", "latency[")
        self._run, self._growth = run, growth
        self._durations: list[float] = []
        self._step, self._steps = 0, 0
        self._epoch_started = time.monotonic()
        self._done = 0

    def listener(self) -> Listener:
        """Return what a study reports to."""
        return Listener(self.epoch, self.resumed, self.step)

    def around(self, recorder: Recorder) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return what a study is run inside of."""
        return self.shown()

    def step(self, done: int, steps: int) -> None:
        """Count the steps."""
        if not self._steps:
            # What came before the first step is no epoch's.
            self._epoch_started = time.monotonic()
        self._step, self._steps = done, steps

    def resumed(self, records: Sequence[EpochRecord]) -> None:
        """Say where the run goes on, and show its last line."""
        self._console.print(
            f"Resuming: {len(records)} of {self._epochs} epochs are finished.", markup=False
        )
        self._show(records[-1])
        self._epoch_started = time.monotonic()

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch that has just ended."""
        now = time.monotonic()
        self._durations.append(now - self._epoch_started)
        self._epoch_started = now
        self._show(record)

    def _show(self, record: EpochRecord) -> None:
        if not self._done:
            self._console.print(_HEADER, markup=False)
        self._done, self._step = record.epoch, 0
        self._console.print(self.line(record), markup=False)

    def line(self, record: EpochRecord) -> str:
        """Return an epoch in at most 80 columns."""
        assert isinstance(record, GrowthEpoch)
        return (
            f"{record.epoch:>4}/{self._epochs:<4}  {_quality(record):>8}"
            f"  {100 * record.live_share:3.0f} %"
            f"  {format_quantity(record.cost, self._metric):>10}"
            f"  {100 * record.cost / record.limit:7.1f} %"
            f"  {f'{record.training_saving:.2f}x':>10}  {self._left(record):>9}"
        )

    def _left(self, record: EpochRecord) -> str:
        recent = self._durations[-_RECENT:]
        if not recent or record.epoch >= self._epochs:
            return ""
        return clock(sum(recent) / len(recent) * (self._epochs - record.epoch))

    def __rich__(self) -> Text:
        at = f"epoch {self._done + 1}: step {self._step} of {self._steps}"
        text = at if self._done < self._epochs and self._steps else ""
        return Text(text, no_wrap=True, overflow="ellipsis")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Say what is read and asked; show the step in progress, if somebody sits there."""
        for line in self._run.data_lines:
            self._console.print(line, soft_wrap=True, markup=False, emoji=False)
        for note in self._run.notes:
            self._console.print(f"Note: {note}", soft_wrap=True, markup=False)
        budget = self._budget
        if budget.device is not None and not self._run.folder.starts.exists():
            (space,) = values_of(self._growth.space)
            asked = f"Asking {budget.device} how long networks of {space} take."
            self._console.print(asked, markup=False)
        if not self._console.is_terminal:
            yield
            return
        with Live(self, console=self._console, refresh_per_second=2, transient=True):
            yield


def summary(run: Study, trial: Trial, exported: ExportResult) -> list[str]:
    """Return the end of a run for people, in lines of 80 columns as far as paths allow."""
    found, metrics = trial.config, trial.metrics
    metric = next(iter(found["budget"])).replace("latency_s[", "latency[")
    saving = metrics["dense_training_macs"] / metrics["training_macs"]
    epochs = found["epochs"] * (1 + found.get("direct_design", False))
    apart = exported.max_difference
    difference = "" if apart is None else f" (difference {apart:.1g})"
    return [
        "",
        f"{kind_title(trial.kind).capitalize()}: {found['space']} on {run.config.dataset}, "
        f"{epochs} epochs in {clock(trial.duration_s)}",
        _quality_line(trial),
        f"  parameters     {_of(metrics, 'dense_parameters', 'full_parameters', 'parameters')}",
        f"  MACs           {_of(metrics, 'dense_macs', 'full_macs', 'macs')}",
        f"  budget         {metric} at most {format_quantity(metrics['budget_limit'], metric)}, "
        f"{100 * metrics['budget_cost'] / metrics['budget_limit']:.1f} % used",
        *granularity_lines(trial),
        *kept_lines(run.folder.path / "trials" / trial.id, trial),
        f"  training MACs  {saving:.2f} times fewer than training all of it",
        *_latency_lines(trial, metric),
        f"Exported, read back and compared{difference}:",
        f"  {exported.folder}",
        *left_out_lines(exported),
        *input_lines(exported),
        f"Load it with {'growsearch' if exported.program is None else 'torch alone'}; "
        "MODEL_CARD.md says what its inputs are:",
        f'  growsearch.export.load_network("{exported.folder}")'
        if exported.program is None
        else f'  torch.export.load("{exported.program}").module()',
        "The run has a report, and select, evaluate and compare work on it:",
        f"  {run.folder.path / 'report.html'}",
    ]


def granularity_lines(trial: Trial) -> list[str]:
    """Say why so much of a count is left over; a latency also has noise to keep clear of."""
    config, metrics = candidate_from_json(trial.config), trial.metrics
    used = metrics["budget_cost"] >= NEAR * metrics["budget_limit"]
    if used or not config.budget.is_count:  # type: ignore[attr-defined]
        return []
    multiple = config.width_multiple  # type: ignore[attr-defined]
    if multiple > 1:
        blocks = f"blocks of {multiple}"
        return [f"                 widths move in {blocks}: not one more block fits"]
    return [
        "                 the nearest that was found in whole channels: one more is over the",
        "                 budget, and no exchange of one for another comes nearer",
    ]


def kept_lines(folder: Path, trial: Trial) -> list[str]:
    """Say which layers kept their width, why, and what they hold of the full network."""
    metrics = trial.metrics
    if "kept_macs_share" not in metrics:
        return []
    kept = read_kept_layers(folder)
    holds = (
        f"{100 * metrics['kept_parameters_share']:.3g} % of the parameters, "
        f"{100 * metrics['kept_macs_share']:.3g} % of the MACs"
    )
    more = (
        [f"                 and {len(kept) - _TOLD} more: kept.jsonl"] if len(kept) > _TOLD else []
    )
    return [
        f"  full width     {len(kept)} layers that could not grow: {holds}",
        *(
            f"                 {each.name} ({100 * each.macs:.3g} % of the MACs): {each.reason}"
            for each in kept[:_TOLD]
        ),
        *more,
    ]


def _quality(record: EpochRecord) -> str:
    if record.perplexity is not None:
        digits = ".3g" if record.perplexity < 1000 else ".0f"
        return f"ppl {record.perplexity:{digits}}"
    if record.accuracy is None:
        name, value = next(iter(record.metrics.items()))
        return f"{name} {format_quantity(value, name)}"
    return f"{100 * record.accuracy:.2f} %"


def quality_name(trial: Trial) -> str:
    """Return by what a finished trial is judged: perplexity, accuracy, or its task's own."""
    metrics = trial.metrics
    if "test_perplexity" in metrics:
        return "perplexity"
    if "accuracy" in metrics:
        return "accuracy"
    return next(name for name in metrics if f"test_{name}" in metrics)


def quality_words(trial: Trial) -> tuple[str, str]:
    """Return that on the validation split, and on the test split."""
    name, metrics = quality_name(trial), trial.metrics
    values = (metrics[name], metrics[f"test_{name}"])
    if name == "perplexity":
        return f"{values[0]:.2f}", f"{values[1]:.2f}"
    if name == "accuracy":
        return f"{100 * values[0]:.2f} %", f"{100 * values[1]:.2f} %"
    return format_quantity(values[0], name), format_quantity(values[1], name)


def _quality_line(trial: Trial) -> str:
    found, tested = quality_words(trial)
    return f"  {quality_name(trial):<13}  {found} validation, {tested} test"


def _latency_lines(trial: Trial, metric: str) -> list[str]:
    """Say what the device itself said of the finished network, and how sure that is."""
    metrics = trial.metrics
    if "budget_latency_s" not in metrics:
        return []
    device = metric.partition("[")[2].rstrip("]")
    found = format_quantity(metrics["budget_latency_s"], "latency")
    batch = int(trial.config.get("device_batch", 1))
    entry = trial.latency.get(device)
    if entry is not None and entry.method == "analytic":
        return [f"  {device:<13}  {found} analytic, for a batch of {batch}"]
    return [
        f"  {device:<13}  {found} measured, for a batch of {batch} on one thread",
        f"                 repeats differ by {100 * metrics['budget_noise']:.0f} %, the fit misses "
        f"by {100 * metrics['budget_fit_error']:.1f} %",
    ]


def _of(metrics: Mapping[str, float], name: str, full_name: str, unit: str) -> str:
    value, full = metrics[name], metrics[full_name]
    return (
        f"{format_quantity(value, unit)} of {format_quantity(full, unit)} "
        f"({100 * value / full:.1f} %)"
    )
