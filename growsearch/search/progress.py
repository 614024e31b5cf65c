"""What does a person see while a search runs? One line, always up to date."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from growsearch.report import front_of_trials
from growsearch.search.recorder import Recorder
from growsearch.search.study_config import StudyConfig


class ProgressLine:
    """Renders the state of a run in one line of at most the terminal's width."""

    def __init__(self, config: StudyConfig, recorder: Recorder) -> None:
        self._config = config
        self._recorder = recorder
        self._started = time.monotonic()
        self._at_start = len(recorder.trials)

    def __rich__(self) -> Text:
        return Text(self.text(), no_wrap=True, overflow="ellipsis")

    def text(self) -> str:
        """Return the line."""
        trials = tuple(self._recorder.trials.values())
        done, wanted = len(trials), self._config.search.trials
        failed = sum(trial.failed for trial in trials)
        stopped = sum(trial.stopped for trial in trials)
        front = front_of_trials(trials, self._config.objectives, self._config.bounds())
        parts = [f"{done}/{wanted} trials", f"{len(self._recorder.running)} running"]
        if failed:
            parts.append(f"{failed} failed")
        if stopped:
            parts.append(f"{stopped} stopped early")
        best = [t.metrics["accuracy"] for t in trials if t.finished and "accuracy" in t.metrics]
        if best:
            parts.append(f"best accuracy {100 * max(best):.2f} %")
        parts += [f"front {len(front)}", self._clock(done, wanted)]
        return " · ".join(parts)

    def _clock(self, done: int, wanted: int) -> str:
        elapsed = time.monotonic() - self._started
        here = done - self._at_start
        text = f"{_minutes(elapsed)} gone"
        if here and done < wanted:
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
