"""What does a person see while a network grows? A line an epoch, and the step in progress."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text
from torch import Tensor

from growsearch.commands.grow_folder import History
from growsearch.growth import GrowthRecord
from growsearch.pareto import format_quantity
from growsearch.training import Hook, TrainingState

_HEADER = "    epoch  accuracy   live        cost  of budget  MACs saved  time left"
# The time left is judged by the last epochs: growing ones are faster than those that follow.
_RECENT = 3


class GrowProgress(Hook):
    """Hears of every step and epoch, keeps the history file and shows how the run goes."""

    def __init__(self, console: Console, history: History, *, epochs: int, metric: str) -> None:
        self._console = console
        self._history = history
        self._epochs, self._metric = epochs, metric
        self._step, self._steps = 0, 0
        self._epoch_started = time.monotonic()
        self._last: GrowthRecord | None = None

    @property
    def total_s(self) -> float:
        """Seconds that all finished epochs took, those before an interruption included."""
        return sum(self._history.durations)

    @property
    def epochs_done(self) -> int:
        """How many epochs are finished and kept."""
        return 0 if self._last is None else self._last.epoch

    def state(self) -> Mapping[str, Tensor]:
        """Return nothing: what is shown has no part in the run."""
        return {}

    def on_start(self, state: TrainingState) -> None:
        """Learn how long an epoch is."""
        self._steps = state.steps_per_epoch
        self._epoch_started = time.monotonic()

    def after_update(self, state: TrainingState) -> None:
        """Count the steps."""
        self._step = state.step - state.epoch * state.steps_per_epoch

    def resumed(self, records: Sequence[GrowthRecord]) -> None:
        """Say where the run goes on, and show its last line."""
        self._history.start(records)
        self._last = records[-1]
        self._step = 0
        self._console.print(
            f"Resuming: {len(records)} of {self._epochs} epochs are finished.", markup=False
        )
        self._console.print(_HEADER, markup=False)
        self._console.print(self.line(records[-1]), markup=False)
        self._epoch_started = time.monotonic()

    def epoch(self, record: GrowthRecord) -> None:
        """Keep and show an epoch that has just ended."""
        now = time.monotonic()
        self._history.append(record, now - self._epoch_started)
        self._epoch_started = now
        if self._last is None:
            self._console.print(_HEADER, markup=False)
        self._last, self._step = record, 0
        self._console.print(self.line(record), markup=False)

    def line(self, record: GrowthRecord) -> str:
        """Return an epoch in at most 80 columns."""
        return (
            f"{record.epoch:>4}/{self._epochs:<4}  {_quality(record):>8}"
            f"  {100 * record.live_share:3.0f} %"
            f"  {format_quantity(record.cost, self._metric):>10}"
            f"  {100 * record.cost / record.limit:7.1f} %"
            f"  {f'{record.training_saving:.2f}x':>10}  {self._left(record):>9}"
        )

    def _left(self, record: GrowthRecord) -> str:
        recent = [seconds for seconds in self._history.durations[-_RECENT:] if seconds]
        if not recent or record.epoch >= self._epochs:
            return ""
        return clock(sum(recent) / len(recent) * (self._epochs - record.epoch))

    def __rich__(self) -> Text:
        done = self.epochs_done
        at = f"epoch {done + 1}: step {self._step} of {self._steps}"
        text = at if done < self._epochs else ""
        return Text(text, no_wrap=True, overflow="ellipsis")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the step in progress as long as this is entered, if somebody sits there."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self, console=self._console, refresh_per_second=2, transient=True):
            yield


def _quality(record: GrowthRecord) -> str:
    if record.perplexity is not None:
        digits = ".3g" if record.perplexity < 1000 else ".0f"
        return f"ppl {record.perplexity:{digits}}"
    return f"{100 * record.accuracy:.2f} %"


def clock(seconds: float) -> str:
    """Return a duration as 12 s, 3:04 or 2:03:04."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
