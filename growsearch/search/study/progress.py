"""Progress of a search: in place in a terminal, with the epochs of running trials; else a line."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from growsearch.report import front_of_trials
from growsearch.report.describe import describe_trial
from growsearch.report.live.starts import Started
from growsearch.report.live.status_text import progress_words
from growsearch.report.live.time_left import Pace, clock
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.baselines import count_baselines
from growsearch.shown_text import shown
from growsearch.trial.progress_file import TrialProgress, read_progress
from growsearch.trial.record import Trial

# Rows of running trials; a folder that many look at is asked twice a second at most.
_MOST_ROWS, _LOOK_S = 8, 0.5
_MADE_BY, _BAR, _SMALL_BAR = 26, 24, 10


class ProgressLine:
    """Renders the state of a run: a block of a terminal's width, or one line as text.

    ``elapsed_s`` is how long the session has run already, as its time budget counts it.
    """

    def __init__(self, config: StudyConfig, recorder: Recorder, *, elapsed_s: float = 0.0) -> None:
        self._config = config
        self._recorder = recorder
        self._started = time.monotonic() - elapsed_s
        self._at_start = len(recorder.trials)
        trials = config.search.trials
        # Baselines run beside what the search may try.
        self._wanted = None if trials is None else trials + count_baselines(config, recorder)
        # Of the trials that were looked at: a line takes no longer at the ten thousandth trial.
        self._seen = self._failed = self._stopped = 0
        self._best: Trial | None = None
        self._front: tuple[Trial, ...] = ()
        self._running: tuple[tuple[Started, TrialProgress | None], ...] = ()
        self._next_look = 0.0

    def __rich__(self) -> RenderableType:
        self._look()
        self._look_at_running()
        rows = Table.grid(padding=(0, 2))
        for started, progress in self._running[:_MOST_ROWS]:
            rows.add_row(*self._row(started, progress))
        more = len(self._running) - _MOST_ROWS
        parts: list[RenderableType] = [self._head(), self._counts()]
        if self._running:
            parts.append(rows)
        if more > 0:
            parts.append(Text(f"and {more} more", style="dim"))
        return Group(*parts)

    def text(self) -> str:
        """Return the line."""
        self._look()
        return " · ".join([*self._parts(), self._clock().replace("about ", "~")])

    def _parts(self) -> list[str]:
        wanted = self._wanted
        told = f"{self._seen}" if wanted is None else f"{self._seen}/{wanted}"
        parts = [f"{told} trials", f"{len(self._recorder.running)} running"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if self._stopped:
            parts.append(f"{self._stopped} stopped early")
        if self._best is not None:
            parts.append(f"best accuracy {100 * self._best.metrics['accuracy']:.2f} %")
        repeats = self._recorder.repeats
        if repeats is not None and repeats.wanted:
            parts.append(f"repeats of the front {repeats.done}/{repeats.wanted}")
        return [*parts, f"front {len(self._front)}"]

    def _head(self) -> Table:
        """Return the bar of the whole search, and its time."""
        row = Table.grid(padding=(0, 2))
        share = self._share()
        cells: list[RenderableType] = [Text(self._config.name, style="bold", no_wrap=True)]
        if share is not None:
            cells.append(_bar(share, _BAR))
        row.add_row(*cells, Text(self._clock(), style="dim", no_wrap=True))
        return row

    def _counts(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for place, part in enumerate(self._parts()):
            text.append(" · " if place else "", style="dim")
            style = "red" if part.endswith("failed") else "green" if "best" in part else ""
            text.append(part, style=style)
        return text

    def _row(self, started: Started, progress: TrialProgress | None) -> list[RenderableType]:
        made_by = describe_trial(started.as_trial())
        if len(made_by) > _MADE_BY:
            made_by = f"{made_by[: _MADE_BY - 3]}..."
        share = None if progress is None else progress.share
        bar: RenderableType = Text(" " * _SMALL_BAR)
        if share is not None:
            bar = _bar(share, _SMALL_BAR)
        return [
            Text(started.id, style="cyan", no_wrap=True),
            Text(shown(made_by), no_wrap=True),
            bar,
            Text(progress_words(progress), no_wrap=True, overflow="ellipsis"),
        ]

    def _look(self) -> None:
        """Take in the trials that have come since: the front is that of the last one and these."""
        new = tuple(itertools.islice(self._recorder.trials.values(), self._seen, None))
        if not new:
            return
        self._seen += len(new)
        self._failed += sum(trial.failed for trial in new)
        self._stopped += sum(trial.stopped for trial in new)
        found = [t for t in new if t.finished and "accuracy" in t.metrics]
        known = [] if self._best is None else [self._best]
        self._best = max([*known, *found], key=lambda t: t.metrics["accuracy"], default=None)
        candidates = (*self._front, *new)
        front = front_of_trials(candidates, self._config.objectives, self._config.bounds())
        members = {member.id for member in front.members}
        self._front = tuple(trial for trial in candidates if trial.id in members)

    def _look_at_running(self) -> None:
        """Read how far the running trials are, which their workers write down."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_S
        recorder = self._recorder
        starts = [recorder.starts[name] for name in tuple(recorder.running)]
        self._running = tuple(
            (
                Started(id=each.id, number=each.number, config=each.candidate.to_json()),
                read_progress(recorder.folder.path, each.id),
            )
            for each in sorted(starts, key=lambda start: start.number)
        )

    def _pace(self) -> Pace:
        return Pace(
            wanted=self._wanted,
            done=self._seen,
            done_here=self._seen - self._at_start,
            spent_s=time.monotonic() - self._started,
            budget_s=self._config.search.time_budget,
            running=tuple(found for _, found in self._running if found is not None),
        )

    def _share(self) -> float | None:
        """Return the share of the search that is done, by trials, else by its time budget."""
        pace = self._pace()
        if self._wanted is not None:
            under_way = sum(each.share or 0.0 for each in pace.running)
            return min(1.0, (self._seen + under_way) / max(1, self._wanted))
        return None if pace.budget_s is None else min(1.0, pace.spent_s / pace.budget_s)

    def _clock(self) -> str:
        pace = self._pace()
        left = pace.left(time.time())
        text = f"{clock(pace.spent_s)} gone"
        # None is needed where none is left, and none is known before the first epochs.
        return text if not left.seconds else f"{text}, about {clock(left.seconds)} left"


def _bar(share: float, width: int) -> ProgressBar:
    # Red, as rich has it, says that something failed.
    return ProgressBar(
        total=1.0, completed=share, width=width, complete_style="cyan", finished_style="green"
    )


@contextmanager
def live_progress(console: Console, line: ProgressLine, recorder: Recorder) -> Iterator[None]:
    """Show ``line`` while the search runs: live in a terminal, a line a trial elsewhere."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(line, console=console, refresh_per_second=2, transient=True):
            yield
        return
    printed = len(recorder.trials)

    def print_finished() -> None:
        nonlocal printed
        if len(recorder.trials) > printed:
            printed = len(recorder.trials)
            console.print(line.text(), soft_wrap=True)

    recorder.listeners.append(print_finished)
    try:
        yield
    finally:
        recorder.listeners.remove(print_finished)
