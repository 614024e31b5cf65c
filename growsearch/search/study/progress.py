"""Progress of a search: one line, always up to date."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from growsearch.report import front_of_trials
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.baselines import baseline_candidates
from growsearch.trial.record import Trial


class ProgressLine:
    """Renders the state of a run in one line of at most the terminal's width."""

    def __init__(self, config: StudyConfig, recorder: Recorder) -> None:
        self._config = config
        self._recorder = recorder
        self._started = time.monotonic()
        self._at_start = len(recorder.trials)
        trials = config.search.trials
        # Baselines run beside what the search may try.
        self._wanted = None if trials is None else trials + len(baseline_candidates(config))
        # Of the trials that were looked at: a line takes no longer at the ten thousandth trial.
        self._seen = self._failed = self._stopped = 0
        self._best: float | None = None
        self._front: tuple[Trial, ...] = ()

    def __rich__(self) -> Text:
        return Text(self.text(), no_wrap=True, overflow="ellipsis")

    def text(self) -> str:
        """Return the line."""
        self._look()
        wanted = self._wanted
        told = f"{self._seen}" if wanted is None else f"{self._seen}/{wanted}"
        parts = [f"{told} trials", f"{len(self._recorder.running)} running"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if self._stopped:
            parts.append(f"{self._stopped} stopped early")
        if self._best is not None:
            parts.append(f"best accuracy {100 * self._best:.2f} %")
        parts += [f"front {len(self._front)}", self._clock(self._seen, wanted)]
        return " · ".join(parts)

    def _look(self) -> None:
        """Take in the trials that have come since: the front is that of the last one and these."""
        new = tuple(itertools.islice(self._recorder.trials.values(), self._seen, None))
        if not new:
            return
        self._seen += len(new)
        self._failed += sum(trial.failed for trial in new)
        self._stopped += sum(trial.stopped for trial in new)
        found = [t.metrics["accuracy"] for t in new if t.finished and "accuracy" in t.metrics]
        self._best = max([*found, *([] if self._best is None else [self._best])], default=None)
        candidates = (*self._front, *new)
        front = front_of_trials(candidates, self._config.objectives, self._config.bounds())
        members = {member.id for member in front.members}
        self._front = tuple(trial for trial in candidates if trial.id in members)

    def _clock(self, done: int, wanted: int | None) -> str:
        elapsed = time.monotonic() - self._started
        here = done - self._at_start
        text = f"{_minutes(elapsed)} gone"
        if wanted is not None and here and done < wanted:
            text += f", {_minutes(elapsed / here * (wanted - done))} left"
        return text


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@contextmanager
def live_progress(console: Console, line: ProgressLine, recorder: Recorder) -> Iterator[None]:
    """Show ``line`` while the search runs: live in a terminal, a line a trial elsewhere."""
    if console.is_terminal:
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
