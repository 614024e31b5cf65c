"""Text of a choice from the front, for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from growsearch.pareto import (
    BoundCost,
    Front,
    Point,
    Selection,
    format_bound,
    format_quantity,
)
from growsearch.pareto.uncertainty import one_error, told_apart
from growsearch.report.choice.sparse_gain import sparse_lines
from growsearch.report.choice.study_choice import Choice
from growsearch.report.choice.told_apart import accuracy_interval, over_seeds, paired
from growsearch.report.describe import describe_interval, describe_trial, title
from growsearch.report.run_data import Run, point_of
from growsearch.report.terminal_table import terminal_table
from growsearch.trial.record import Trial

if TYPE_CHECKING:
    from rich.table import Table

TERMINAL_COLUMNS = 80

# What is told over other seeds, where the front was repeated.
_REPEATED = ("accuracy", "test_accuracy")

# Accuracy that a choice must lose against one's own network for a note, in points.
_MUCH_POINTS = 5.0

# From here on a choice meets its bounds as surely as anybody asks.
_CERTAIN = 0.995

# What "~" stands for, by how a latency was found.
_ESTIMATES = {"analytic": "an analytic estimate", "fitted": "a prediction of a device's profile"}


def choice_lines(choice: Choice, bounds: tuple[str, ...] = ()) -> list[str]:
    """Return the lines that tell a choice: it, the runner-up and what each bound costs.

    They say what cannot be told apart, and how a tie was broken. Where nothing fits they tell the
    nearest miss and by how much. ``bounds`` are the bounds as the person wrote them, for that case.
    No line is longer than 80 columns unless a name is.
    """
    selection, front, run = choice.selection, choice.front, choice.run
    bounds = bounds or tuple(map(format_bound, choice.wishes.bounds))
    if selection.chosen is None:
        return [*_miss_lines(choice, bounds), *_warnings(choice, front)]
    lines = ["Choice", *_point_lines(selection.chosen, choice)]
    lines += _likelihood_lines(selection)
    lines += tie_lines(choice)
    lines += [f"    {line}" for line in beside_mine(selection.chosen, front, run.trials)]
    lines += _mine_is_better(choice, selection.chosen)
    if selection.runner_up is not None:
        lines += ["", "Runner-up", *_point_lines(selection.runner_up, choice)]
        lines += _alike_lines(choice, selection.chosen, selection.runner_up)
    if selection.costs:
        lines += ["", "What each bound costs"]
        for cost in selection.costs:
            lines += _cost_lines(cost, front)
    return [*lines, *_warnings(choice, front)]


def tie_lines(choice: Choice) -> list[str]:
    """Say which rule broke a tie of accuracies, what the other one takes and how to ask for it."""
    ties = choice.selection.ties
    if ties is None or ties.cheapest is ties.best:
        return []
    other = ties.best if ties.applied else ties.cheapest
    error = f"{100 * one_error(ties.best.values['accuracy'], ties.examples):.1f} points"
    if ties.applied:
        highest = format_quantity(ties.best.values["accuracy"], "accuracy")
        told = (
            f"The one-standard-error rule took the cheapest of {len(ties.tied)} networks within "
            f"{error} (one standard error of {ties.examples:,} examples) of the highest accuracy, "
            f"{highest} of {other.id}; --ties highest (in a study, select: {{ties: highest}}) "
            "takes that one."
        )
    else:
        told = (
            f"{len(ties.tied) - 1} more are within {error}, one standard error of "
            f"{ties.examples:,} examples; the cheapest of them is {other.id}, "
            f"{format_quantity(other.values['accuracy'], 'accuracy')}: --ties cheapest takes it."
        )
    first, second = (choice.run.trial(point.id) for point in (ties.taken, other))
    found = paired(choice.run, first, second)
    if found is not None:
        apart = "told apart" if found.apart else "not told apart"
        told += f" On the same examples the two are {apart} ({found.say()}; McNemar)."
    return textwrap.wrap(
        told,
        TERMINAL_COLUMNS,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _alike_lines(choice: Choice, chosen: Point, other: Point) -> list[str]:
    """Say in what a network cannot be told from the choice."""
    alike = []
    found = paired(choice.run, choice.run.trial(chosen.id), choice.run.trial(other.id))
    if found is not None and not found.apart and "accuracy" in choice.front.directions:
        alike.append(f"accuracy ({found.say()}; McNemar)")
    alike += [
        title(name).replace("Latency", "latency")
        for name in choice.front.directions
        if name in chosen.noise and not told_apart(chosen, other, name)
    ]
    if not alike:
        return []
    return textwrap.wrap(
        f"not told from the choice by {' and '.join(alike)}",
        TERMINAL_COLUMNS,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _warnings(choice: Choice, front: Front) -> list[str]:
    """Warn of a choice by test data, which are for the end, and of a wish that cannot be had."""
    asked = [*(bound.objective for bound in choice.wishes.bounds), *front.directions]
    found = [name for name in dict.fromkeys(asked) if name.startswith("test_")]
    select = choice.run.study.get("select") or {}
    unknown = select.get("ties") == "cheapest" and choice.run.examples is None
    lines = []
    if unknown:
        lines += [
            "",
            "The study asks for ties: cheapest. How many examples its networks were judged",
            "on is not known (no trial has a readable validation.json): the highest accuracy",
            "was taken.",
        ]
    for name in found:
        lines += [
            "",
            f"Warning: this chooses by {name}: what is chosen by test data looks better",
            "on them than it is. Choose by validation measures, and look at the test last.",
        ]
    return lines


def trial_lines(trial: Trial, run: Run) -> list[str]:
    """Return the lines that tell a network which was named, whether it is compared or not."""
    point = Point(id=trial.id, values=trial.metrics)
    names = [name for name in run.objectives if name in trial.metrics]
    return ["Network", *_figure_lines(point, names, run)]


def beside_mine(point: Point, front: Front, trials: Iterable[Trial]) -> list[str]:
    """Say what a choice gains over each network of the person's own that was taken as it is."""
    found = []
    for trial in trials:
        if not trial.is_mine or trial.id == point.id:
            continue
        parts = [
            _beside(point.values[name], trial.metrics[name], name)
            for name in front.directions
            if name in trial.metrics
        ]
        found.append(f"beside mine ({trial.id}): {', '.join(parts)}")
    return found


def _mine_is_better(choice: Choice, chosen: Point) -> list[str]:
    """Say loud that nothing which was found is as accurate as the person's own network."""
    mine = [t for t in choice.run.trials if t.is_mine and "accuracy" in t.metrics]
    if "accuracy" not in chosen.values or not mine:
        return []
    best = max(mine, key=lambda trial: trial.metrics["accuracy"])
    lost = 100 * (best.metrics["accuracy"] - chosen.values["accuracy"])
    if best.id == chosen.id or lost < _MUCH_POINTS:
        return []
    own = point_of(best)
    missed = [
        b
        for b in choice.wishes.bounds
        if b.objective not in own.values or b.excess(own.values[b.objective]) > 0
    ]
    why = f"; it is outside {', '.join(map(format_bound, missed))}" if missed else ""
    told = (
        f"Note: your own network ({best.id}) is {lost:.1f} points more accurate than the choice"
        f"{why}. If trials have far less than what they began with, give them a smaller "
        "learning_rate or more epochs, or search on: the same command goes on."
    )
    return [
        "",
        *textwrap.wrap(told, TERMINAL_COLUMNS, break_long_words=False, break_on_hyphens=False),
    ]


def _beside(value: float, mine: float, name: str) -> str:
    if "accuracy" in name:
        return f"{title(name)} {100 * (value - mine):+.2f} points"
    return f"{title(name)} {100 * value / mine:.0f} %" if mine else title(name)


def _point_lines(point: Point, choice: Choice) -> list[str]:
    return _figure_lines(point, list(choice.front.directions), choice.run)


def _figure_lines(point: Point, names: list[str], run: Run) -> list[str]:
    trial = run.trial(point.id)
    more = [n for n in ("test_accuracy", "macs", "parameters") if n in point.values]
    names = list(dict.fromkeys([*names, *more]))
    width = max(len(title(name)) for name in names)
    lines = [f"  {trial.id}  {describe_trial(trial)}"]
    for name in names:
        shown = format_quantity(point.values[name], name)
        lines.append(f"    {title(name):<{width}}  {shown}{_how(run, trial, name)}")
        again = over_seeds(run, trial, name) if name in _REPEATED else None
        if again is not None:
            lines.append(f"    {'':<{width}}  {again.say(name)}")
    for told in sparse_lines(run, trial).values():
        lines += textwrap.wrap(
            told,
            TERMINAL_COLUMNS,
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _likelihood_lines(selection: Selection) -> list[str]:
    """Say how sure it is that the bounds are met, where that is not certain."""
    if selection.likelihood >= _CERTAIN:
        return []
    return [f"    meets the bounds with a probability of {100 * selection.likelihood:.0f} %"]


def _how(run: Run, trial: Trial, name: str) -> str:
    """Return how sure a value is: no measurement looks like an estimate, nor chance like skill.

    Of a latency it is its method, interval and noise, of an accuracy its interval.
    """
    if name == "accuracy":
        interval = accuracy_interval(trial.metrics[name], run.examples)
        return f" ({interval})" if interval else ""
    device = name[8:-1] if name.startswith("latency[") else ""
    entry = trial.latency.get(device)
    if entry is None:
        return ""
    noise = f"noise {100 * entry.noise:.1f} %" if entry.noise is not None else ""
    return f" ({', '.join(filter(None, [entry.method, describe_interval(entry), noise]))})"


def _cost_lines(cost: BoundCost, front: Front) -> list[str]:
    name = next(iter(front.directions))
    start = f"  {format_bound(cost.bound)}"
    if cost.step is None:
        return [f"{start}: nothing; the choice would be the same without it"]
    objective = cost.bound.objective
    needed = format_quantity(cost.step.values[objective], objective)
    lines = [f"{start}", f"    without it: {_gain(cost.gain, name)} ({cost.alternative.id})"]
    then = cost.step_choice or cost.step
    if then.id != cost.alternative.id:
        lines.append(f"    at {needed}: {_gain(cost.step_gain, name)} ({then.id})")
    else:
        lines[-1] += f", needs {needed}"
    return lines


def _gain(gain: float, name: str) -> str:
    sign = "-" if gain < 0 else "+"
    if "accuracy" in name:
        return f"{sign}{100 * abs(gain):.2f} points of {name}"
    return f"{name} better by {format_quantity(gain, name)}"


def _miss_lines(choice: Choice, bounds: tuple[str, ...]) -> list[str]:
    selection = choice.selection
    asked = f" ({', '.join(bounds)})" if bounds else ""
    sure = (
        "" if selection.confidence is None else f" with {_percent(selection.confidence)} certainty"
    )
    lines = [f"No network fits{asked}{sure}."]
    if selection.nearest is None:
        return lines
    if not selection.misses:
        likely = f"Likeliest, with {_percent(selection.likelihood)}"
        lines += ["", likely, *_point_lines(selection.nearest, choice), ""]
        return [*lines, "Ask for less certainty, loosen the bound or measure with less noise."]
    lines += ["", "Nearest miss", *_point_lines(selection.nearest, choice), ""]
    for objective, excess in selection.misses.items():
        value = selection.nearest.values[objective]
        lines.append(
            f"  {objective} = {format_quantity(value, objective)} misses its bound by "
            f"{100 * excess:.1f} %"
        )
    lines.append("Loosen that bound or search with a smaller budget.")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def front_table(front: Front, trials: Iterable[Trial]) -> Table:
    """Return the front as a table for 80 columns: id, kind, what made it, every objective."""
    known = {trial.id: trial for trial in trials}
    table = terminal_table(
        [
            ("network", "text"),
            ("kind", "text"),
            *((_short_title(name), "number") for name in front.directions),
            ("made by", "folds"),
        ]
    )
    for member in front.members:
        trial = known[member.id]
        values = [_value(trial, name, member.values[name]) for name in front.directions]
        table.add_row(trial.id, trial.kind, *values, describe_trial(trial))
    return table


def _short_title(name: str) -> str:
    return name.partition("[")[2].rstrip("]") or name.replace("_", " ")


def _value(trial: Trial, name: str, value: float) -> str:
    shown = format_quantity(value, name)
    entry = trial.latency.get(name[8:-1]) if name.startswith("latency[") else None
    # "~" marks an estimate; `table_legend` says so under the table.
    return f"~{shown}" if entry is not None and entry.method != "measured" else shown


def table_legend(front: Front, trials: Iterable[Trial]) -> str:
    """Return the line under `front_table`: what its marks mean; empty where it has none."""
    entries = [
        entry
        for trial in trials
        for name, entry in trial.latency.items()
        if f"latency[{name}]" in front.directions
    ]
    methods = {entry.method for entry in entries} - {"measured"}
    if not methods:
        return ""
    made = " or ".join(_ESTIMATES[method] for method in sorted(methods))
    return f"Device columns are latencies; ~ is {made}, not a measurement."
