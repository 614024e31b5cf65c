"""Status of a run in lines of 80 columns, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from growsearch.pareto import format_quantity
from growsearch.report.describe import describe_trial
from growsearch.report.live.status import RunningTrial, RunStatus, iso_time
from growsearch.report.live.time_left import clock
from growsearch.shown_text import shown
from growsearch.trial.progress_file import TrialProgress
from growsearch.trial.record import LEARNED

_WORDS = {
    "running": "running",
    "finished": "finished",
    "time_up": "ended by its time budget",
    "interrupted": "stopped by Ctrl-C or a signal",
    "failed": "stopped by an error",
    "gone": "stopped without a word",
    "unknown": "unknown",
}
_COLUMNS, _LABEL, _MADE_BY = 80, 10, 30


def status_lines(status: RunStatus) -> list[str]:
    """Return what a person is told of a run; nothing in the lines moves a terminal's cursor."""
    run = status.run
    return [
        f"{shown(run.name)}: {_WORDS[status.state]}{_said(status)}",
        _line("search", _life(status)),
        _line("trials", ", ".join(_counts(status))),
        *_running(status),
        *_repeats(status),
        _line("time", _time(status)),
        _line("best", _best(status)),
        _line("front", f"{len(run.front().members)} networks over {_objectives(run.objectives)}"),
        *(
            _line("finish", f"at work in {shown(name)}: see its own status")
            for name in status.finishing
        ),
        *(f"Note: {shown(note)}" for note in run.notes),
    ]


def progress_words(progress: TrialProgress | None) -> str:
    """Return how far a trial is: "epoch 12 of 20, 97.40 %"."""
    if progress is None:
        return "no word yet"
    if progress.phase == "measuring":
        return "trained, now measured"
    if progress.phase == "preparing":
        return "being prepared"
    behind = progress.share is not None and progress.epoch == progress.epochs
    at = progress.epoch if behind else progress.epoch + 1
    of = f" of {progress.epochs}" if progress.share is not None else ""
    return ", ".join([f"epoch {at}{of}", *_first_value(progress.values)])


def _first_value(values: Mapping[str, float]) -> Iterator[str]:
    for name, value in list(values.items())[:1]:
        measure = name.removeprefix(LEARNED)
        told = format_quantity(value, measure)
        told = told if measure == "accuracy" else f"{shown(measure)} {told}"
        yield told if measure == name else f"{told} of learned examples"


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _said(status: RunStatus) -> str:
    beat = status.heartbeat
    words = "" if beat is None or status.state not in ("time_up", "failed") else beat.words
    if status.state == "unknown":
        since = iso_time(status.life.last_at)
        return "" if since is None else f", no sign of life since {since}"
    return f" ({shown(words)})" if words else ""


def _life(status: RunStatus) -> str:
    beat = status.heartbeat
    who = "" if beat is None else f"process {beat.process} on {shown(beat.host)}: "
    return f"{who}{shown(status.life.how)}"


def _counts(status: RunStatus) -> Iterator[str]:
    run = status.run
    of = "" if status.wanted is None else f" of {status.wanted}"
    yield f"{len(run.trials)}{of} done"
    for count, word in (
        (len(run.failed), "failed"),
        (len(run.stopped), "stopped early"),
        (run.rejected, "rejected before training"),
        (len(status.running), _running_word(status)),
        (status.unfinished, "begun and waiting"),
    ):
        if count:
            yield f"{count} {word}"


def _running_word(status: RunStatus) -> str:
    most = 1 if status.heartbeat is None else status.heartbeat.parallel
    return "running" if most == 1 else f"running (of {most} at once)"


def _repeats(status: RunStatus) -> Iterator[str]:
    found = status.repeats
    if found is None or not found.wanted:
        return
    told = f"{found.done} of {found.wanted} done, the front's networks with other seeds"
    if found.running and status.life.alive:
        told = f"{found.done} of {found.wanted} done; {found.running}  "
        told += progress_words(status.repeating)
    yield _line("repeats", _cut(told))


def _running(status: RunStatus) -> Iterator[str]:
    for place, trial in enumerate(status.running):
        yield _line("" if place else "running", _running_line(trial))


def _running_line(trial: RunningTrial) -> str:
    made_by = trial.made_by
    if len(made_by) > _MADE_BY:
        made_by = f"{made_by[: _MADE_BY - 3]}..."
    line = f"{trial.started.id}  {made_by:<{_MADE_BY}}  {progress_words(trial.progress)}"
    return _cut(line)


def _cut(line: str) -> str:
    """Return what stands behind a label, within a terminal's columns."""
    most = _COLUMNS - len(_line("", ""))
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _time(status: RunStatus) -> str:
    spent, left = f"{clock(status.spent_s)} spent", status.left
    if not status.life.alive:
        return spent
    if left.seconds is None:
        return f"{spent}, time left not known: {left.basis}"
    if left.seconds == 0:
        return f"{spent}, at its end: {left.basis}"
    return f"{spent}, about {clock(left.seconds)} left (from {left.basis})"


def _best(status: RunStatus) -> str:
    trial, objective = status.best, next(iter(status.run.objectives))
    if trial is None:
        return "no finished trial yet"
    value = format_quantity(trial.metrics[objective], objective)
    return _cut(f"{shown(objective)} {value} by {trial.id}, {describe_trial(trial)}")


def _objectives(objectives: Mapping[str, str]) -> str:
    return ", ".join(map(shown, objectives))
