"""Differences that are told apart: of two networks' accuracies, latencies and seeds, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from growsearch.pareto import Point, format_quantity
from growsearch.pareto.quantities import SHARE, quantity_of
from growsearch.pareto.uncertainty import (
    mcnemar,
    mean_interval,
    told_apart,
    wilson,
    within_one_error,
)
from growsearch.report.run_data import Run
from growsearch.trial.judged_examples import JudgedExamples, judged_if_readable
from growsearch.trial.record import Trial

# A difference that chance alone makes more often than this is none.
LEVEL = 0.05

# Differences below these are not worth their digits: points of accuracy, shares of a latency.
_LEAST_POINTS = 0.01
_LEAST_SHARE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two networks on the same examples: how many each alone is right about, and McNemar's p."""

    only_first: int
    only_second: int
    p_value: float

    @property
    def apart(self) -> bool:
        """Whether the difference is more than chance makes in one case of twenty."""
        return self.p_value < LEVEL

    def say(self) -> str:
        """Return the test in words, such as "alone right: 5 and 3, p = 0.51"."""
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.2g}"
        return f"alone right: {self.only_first} and {self.only_second}, {p}"


def paired(run: Run, first: Trial, second: Trial) -> Paired | None:
    """Compare two networks on the same validation examples; None where they are not known."""
    found = [judged_if_readable(run.folder, trial) for trial in (first, second)]
    if None in found:
        return None
    return of_examples(*found)  # type: ignore[arg-type]


def of_examples(one: JudgedExamples, other: JudgedExamples) -> Paired | None:
    """Compare what two networks were right about; None if it is not of the same examples."""
    if one.examples != other.examples:
        return None
    only_first = int(np.count_nonzero(one.right & ~other.right))
    only_second = int(np.count_nonzero(other.right & ~one.right))
    return Paired(
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second),
    )


def accuracy_interval(accuracy: float, examples: int | None) -> str:
    """Return "93.6 % to 97.9 %, 300 examples": Wilson's 95 % interval; nothing where unknown."""
    if examples is None:
        return ""
    low, high = wilson(accuracy, examples)
    return f"{100 * low:.1f} % to {100 * high:.1f} %, {examples:,} examples"


def given_up(points: float, best: float, taken: float, examples: int | None) -> str:
    """Return "0.33 points of accuracy", and that it is no difference where that is so.

    Args:
        points: the difference in points.
        best: the higher accuracy.
        taken: the lower.
        examples: what they were counted on, where that is known.
    """
    if points <= 0:
        return "no accuracy"
    said = f"{points:.2f}" if points >= _LEAST_POINTS else f"under {_LEAST_POINTS:.2f}"
    said = f"{said} points of accuracy"
    if examples is not None and within_one_error(best, taken, examples):
        return f"{said} (within one standard error of {examples:,} examples)"
    return said


def faster(taken: Point, best: Point, name: str) -> str:
    """Return how much faster ``taken`` is, as a clause: "is 2.0 times as fast".

    What the measurements do not tell apart is said to be so.
    """
    if not told_apart(taken, best, name):
        if taken.values[name] == best.values[name]:
            return "is as fast"
        return "cannot be told from it in latency"
    ratio = best.values[name] / taken.values[name] if taken.values[name] else 1.0
    if abs(ratio - 1) < _LEAST_SHARE:
        return f"is as fast to {100 * _LEAST_SHARE:g} %"
    if ratio >= 1.1:
        return f"is {ratio:.1f} times as fast"
    if ratio > 1:
        return f"is {100 * (ratio - 1):.2g} % faster"
    if ratio > 1 / 1.1:
        return f"takes {100 * (1 / ratio - 1):.2g} % longer"
    return f"takes {1 / ratio:.1f} times as long"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverSeeds:
    """A metric over trainings with other seeds: mean, deviation, and the mean's 95 % interval.

    The interval of a share is cut to [0, 1]. Deviation and interval are None of a single one.
    """

    seeds: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None

    def say(self, name: str) -> str:
        """Return such as "96.12 % ± 0.40 points over 3 other seeds"."""
        mean = format_quantity(self.mean, name)
        if self.deviation is None:
            return f"{mean} with 1 other seed"
        if self.deviation == 0:
            return f"{mean}, the same over {self.seeds} other seeds"
        if quantity_of(name) is SHARE:
            deviation = f"{100 * self.deviation:.2f} points"
        else:
            deviation = format_quantity(self.deviation, name)
        return f"{mean} ± {deviation} over {self.seeds} other seeds"


def over_seeds(run: Run, trial: Trial, name: str) -> OverSeeds | None:
    """Return a metric of a trial's repeats; None where none has it.

    The trial's own value is not among them: it was chosen for being high. A validation accuracy of
    repeats keeps one part of that luck, the examples': the same ones judge all of them.
    """
    values = [t.metrics[name] for t in run.repeats.get(trial.id, ()) if name in t.metrics]
    if not values:
        return None
    if len(values) == 1:
        return OverSeeds(seeds=1, mean=values[0])
    mean, deviation, half = mean_interval(values)
    low, high = mean - half, mean + half
    if quantity_of(name) is SHARE:
        low, high = max(0.0, low), min(1.0, high)
    return OverSeeds(seeds=len(values), mean=mean, deviation=deviation, low=low, high=high)
