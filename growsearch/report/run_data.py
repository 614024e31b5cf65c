"""Run folders as the report reads them: the study, its trials and the front among them."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from growsearch.errors import UsageError
from growsearch.pareto import Bound, Direction, Front, Point, Wishes, bounds_by_objective
from growsearch.reading import read_limited, reading
from growsearch.report.resolved_study import read_resolved_study
from growsearch.shown_text import shown
from growsearch.trial.judged_examples import examples_of
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial
from growsearch.trial.repeats import read_repeats

_T = TypeVar("_T")
STUDY_FILE, LEDGER_FILE, REJECTED_FILE = "study.yaml", "trials.jsonl", "rejected.jsonl"
# One line an edit of the study while its run went on.
EDITS_FILE = "edits.jsonl"
_MAX_BYTES = 2**30
_MAX_HISTORY = 64 * 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A run folder that was read: ``study`` as written, ``trials`` in the order they finished.

    What is computed of it is computed once, so there are no slots; one run equals itself alone.

    ``notes`` say what was odd about the files, for people. ``rejected`` counts the candidates that
    a hard constraint or the first fidelity kept from being trained.
    """

    folder: Path
    study: Mapping[str, Any]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()
    rejected: int = 0

    @property
    def name(self) -> str:
        """The study's name, or the folder's where it has none."""
        return str(self.study.get("name") or self.folder.resolve().name)

    @property
    def objectives(self) -> dict[str, Direction]:
        """The study's objectives; the first is the one that a choice is ranked by."""
        return dict(self.study["objectives"])

    @property
    def constraints(self) -> tuple[Bound, ...]:
        """The study's constraints, in base units."""
        return bounds_by_objective(self.study.get("constraints") or {}, "constraints")

    @property
    def wishes(self) -> Wishes:
        """What the study asks of its choice, its ``select``, as far as its trials can give it."""
        return Wishes.of(self.study.get("select") or {}).of_examples(self.examples)

    @cached_property
    def examples(self) -> int | None:
        """How many validation examples accuracies are of; None where no trial says."""
        return examples_of(self.folder, self.finished)

    @cached_property
    def repeats(self) -> Mapping[str, tuple[Trial, ...]]:
        """The finished trainings of a trial's candidate with other seeds, by the trial's id."""
        found = read_repeats(self.folder, self.finished)
        ended = {i: tuple(t for t in again if t.finished) for i, again in found.items()}
        return {name: again for name, again in ended.items() if again}

    @cached_property
    def finished(self) -> tuple[Trial, ...]:
        """The trials that have a result."""
        return tuple(trial for trial in self.trials if trial.finished)

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The trials that ended with an error."""
        return tuple(trial for trial in self.trials if trial.failed)

    @property
    def stopped(self) -> tuple[Trial, ...]:
        """The trials that early stopping ended; they have no result to compare."""
        return tuple(trial for trial in self.trials if trial.stopped)

    def trial(self, trial_id: str) -> Trial:
        """Return one trial by its id."""
        return self._by_id[trial_id]

    def front(self) -> Front:
        """Return the front of the finished trials that meet the study's constraints."""
        return self._front

    @cached_property
    def _by_id(self) -> dict[str, Trial]:
        return {trial.id: trial for trial in self.trials}

    @cached_property
    def _front(self) -> Front:
        front = front_of_trials(self.trials, self.objectives, self.constraints)
        return dataclasses.replace(front, wishes=self.wishes, examples=self.examples)


def once_a_run(compute: Callable[[Run], _T]) -> Callable[[Run], _T]:
    """Keep what is computed of a run, since a report asks several times, as long as the run."""
    found: WeakKeyDictionary[Run, _T] = WeakKeyDictionary()

    @wraps(compute)
    def kept(run: Run) -> _T:
        if run not in found:
            found[run] = compute(run)
        return found[run]

    return kept


def front_of_trials(
    trials: tuple[Trial, ...], objectives: Mapping[str, Direction], constraints: tuple[Bound, ...]
) -> Front:
    """Compare the trials that finished, have every objective and meet every constraint.

    Every metric of a trial is a value of its point, so that a choice can bound any of them.
    """
    points = [point_of(trial) for trial in trials if eligible(trial, objectives)]
    return Front.of([p for p in points if meets(p.values, constraints)], objectives)


def point_of(trial: Trial) -> Point:
    """Return a finished trial's point: all its metrics, and how far they may be off."""
    return Point(id=trial.id, values=trial.metrics, spread=_spread(trial), noise=_noise(trial))


def _spread(trial: Trial) -> dict[str, float]:
    return {f"latency[{device}]": entry.spread_s for device, entry in trial.latency.items()}


def _noise(trial: Trial) -> dict[str, float]:
    """Return how far another measurement would land; an estimate's errors are much alike."""
    return {
        f"latency[{device}]": entry.noise * entry.value_s
        for device, entry in trial.latency.items()
        if entry.method == "measured" and entry.noise is not None
    }


def eligible(trial: Trial, objectives: Mapping[str, Direction]) -> bool:
    """Tell whether ``trial`` finished with a value for every objective."""
    return trial.finished and all(name in trial.metrics for name in objectives)


def meets(metrics: Mapping[str, float], bounds: tuple[Bound, ...]) -> bool:
    """Tell whether ``metrics`` has every bounded value, inside its bound."""
    return all(
        bound.objective in metrics and bound.excess(metrics[bound.objective]) <= 0
        for bound in bounds
    )


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        UsageError: if the folder or its study is not there or not readable, or the ledger is broken
            elsewhere than where a crash cut it short.
    """
    with reading(folder, "give the folder of a run"):
        if not folder.is_dir():
            raise UsageError(f"{shown(str(folder))} is not a folder; give the folder of a run")
        study = read_resolved_study(folder / STUDY_FILE)
        ledger = read_ledger(folder / LEDGER_FILE)
        run = Run(
            folder=folder,
            study=study,
            trials=ledger.trials,
            notes=ledger.notes,
            rejected=_whole_lines(folder / REJECTED_FILE),
        )
        _ = run.constraints  # A constraint that cannot be read is said here, not half way through.
    edits = _whole_lines(folder / EDITS_FILE)
    if edits:
        run = dataclasses.replace(run, notes=(*run.notes, _edited(edits)))
    lacking = [trial.id for trial in run.finished if not eligible(trial, run.objectives)]
    if not lacking:
        return run
    note = f"without a value for every objective, so not compared: {', '.join(lacking)}"
    return dataclasses.replace(run, notes=(*run.notes, note))


def _edited(times: int) -> str:
    often = "once" if times == 1 else f"{times} times"
    return (
        f"the study was edited {often} while its run went on: the settings are those of now, "
        f"{EDITS_FILE} has those of before, with which some of the networks ran"
    )


def _whole_lines(path: Path) -> int:
    """Count the lines of a file that were written to their end; none where there is no file."""
    try:
        with reading(path, "remove it to go without"):
            content = read_limited(path, _MAX_BYTES)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return 0
        raise
    return sum(line.endswith(b"}") for line in content.split(b"\n"))


def read_history(run: Run, trial: Trial) -> dict[str, list[float]]:
    """Return the columns of the trial's history.csv by name; empty where there is none.

    Rows are epochs. A row that is cut short ends the history.

    Raises:
        UsageError: if the file is there and cannot be read.
    """
    path = run.folder / "trials" / trial.id / "history.csv"
    # Most of a run's trials have one; those that have none are no mistake.
    if not os.path.lexists(path):
        return {}
    with reading(path, "remove it to go without"):
        text = read_limited(path, _MAX_HISTORY).decode()
        header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
        if len(set(header)) < len(header):
            raise ValueError("a column stands twice")
    columns: dict[str, list[float]] = {name: [] for name in header}
    for row in rows:
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            break
        if len(values) != len(header):
            break
        for name, value in zip(header, values, strict=True):
            columns[name].append(value)
    return columns
