"""Markdown report: the answer, the front and the settings as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from growsearch.pareto import MEASURES, format_quantity
from growsearch.reading import write_yaml
from growsearch.report.choice.study_choice import study_choice
from growsearch.report.choice.told_apart import over_seeds
from growsearch.report.choice_text import beside_mine, choice_lines
from growsearch.report.describe import (
    describe_check,
    describe_interval,
    describe_method,
    describe_trial,
    latency_devices,
    title,
)
from growsearch.report.device_choice import device_choices, headline
from growsearch.report.evaluations import read_evaluation
from growsearch.report.markdown_table import markdown_table, safe
from growsearch.report.progress import hypervolume_progress
from growsearch.report.run_data import Run
from growsearch.shown_text import shown_lines
from growsearch.trial.record import Trial


def render_markdown(run: Run) -> str:
    """Return report.md."""
    quality = next(iter(run.objectives))
    answers = [f"- {safe(headline(choice, quality))}" for choice in device_choices(run)]
    parts = [
        f"# {safe(run.name)}",
        f"{len(run.finished)} trials finished, {len(run.failed)} failed, "
        f"{len(run.front())} on the front.{_not_trained(run)}",
        *(["## Which network for which device?", "\n".join(answers)] if answers else []),
        *_choice(run),
        "## The front",
        _front(run),
        *_baselines(run),
        *_repeats(run),
        *_methods(run),
        *_checked(run),
        *_evaluations(run),
        *_progress(run),
        *_failed(run),
        *(
            ["## Notes on the files", "\n".join(f"- {safe(n)}" for n in run.notes)]
            * bool(run.notes)
        ),
        "## Settings",
        _fenced(shown_lines(write_yaml(run.study))),
    ]
    return "\n\n".join(parts) + "\n"


def _choice(run: Run) -> list[str]:
    """Tell what the study chooses, as `growsearch select` does without flags."""
    if not run.front().points:
        return []
    lines = shown_lines("\n".join(choice_lines(study_choice(run))) + "\n")
    return ["## The study's choice", _fenced(lines, "text")]


def _front(run: Run) -> str:
    members = [run.trial(member.id) for member in run.front().members]
    if not members:
        return "No finished trial meets the constraints."
    names = front_columns(run)
    rows = [[t.id, describe_trial(t), *(_cell(t, name) for name in names)] for t in members]
    return markdown_table(["Network", "Made by", *map(title, names)], rows)


def _baselines(run: Run) -> list[str]:
    """Return the baselines, on the front or not, and what its members gain over "mine"."""
    found = [trial for trial in run.finished if trial.kind == "baseline"]
    if not found:
        return []
    names, front = front_columns(run), run.front()
    rows = [[t.id, describe_trial(t), *(_cell(t, name) for name in names)] for t in found]
    gains = [
        f"- {member.id}: {safe(line)}"
        for member in front.members
        for line in beside_mine(member, front, run.finished)
    ]
    table = markdown_table(["Network", "Baseline", *map(title, names)], rows)
    return ["## Baselines", table, *(["\n".join(gains)] if gains else [])]


def _repeats(run: Run) -> list[str]:
    """Return mean and deviation of what was trained again with other seeds."""
    again = [trial for trial in run.finished if trial.id in run.repeats]
    if not again:
        return []
    names = [name for name in front_columns(run) if name != "parameters"]
    rows = []
    for trial in again:
        found = [over_seeds(run, trial, name) for name in names]
        told = [f.say(n) if f else "" for f, n in zip(found, names, strict=True)]
        rows.append([trial.id, describe_trial(trial), *told])
    text = (
        "Networks that were on the front when the search ended, trained again with other seeds: "
        "mean ± standard deviation, without the search's own values, which were chosen for being "
        "good. The validation examples that chose are the same, so that a mean over them is still "
        "somewhat high; the test accuracy is not."
    )
    return [
        "## Over other seeds",
        text,
        markdown_table(["Network", "Made by", *map(title, names)], rows),
    ]


def front_columns(run: Run) -> list[str]:
    """Return the metrics of a table of the front: the objectives, then what everybody asks for."""
    members = [run.trial(member.id) for member in run.front().members]
    more = [n for n in ("test_accuracy", "macs", "parameters") if n not in run.objectives]
    return [*run.objectives, *(n for n in more if any(n in t.metrics for t in members))]


def _cell(trial: Trial, name: str) -> str:
    if name not in trial.metrics:
        return ""
    shown = format_quantity(trial.metrics[name], name)
    entry = trial.latency.get(name[8:-1]) if name.startswith("latency[") else None
    if entry is None:
        return shown
    interval = describe_interval(entry)
    noise = f"noise {100 * entry.noise:.1f} %" if entry.noise is not None else ""
    parts = filter(None, [entry.method, interval, noise, describe_check(entry)])
    return f"{shown} ({', '.join(parts)})"


def _methods(run: Run) -> list[str]:
    """Say once a device under which conditions its latencies were found."""
    lines = []
    for device in latency_devices(run.trials):
        entries = [t.latency[device] for t in run.finished if device in t.latency]
        if entries:
            first = describe_method(entries[0])
            lines.append(f"- {safe(device)}: {safe(first)} (the first trial's)")
    return ["How latencies were found:", "\n".join(lines)] if lines else []


def _checked(run: Run) -> list[str]:
    """Say how far the predicted latencies of the front were from the measured ones."""
    lines = []
    for device in latency_devices(run.trials):
        entries = [t.latency[device] for t in run.finished if device in t.latency]
        errors = [abs(entry.error) for entry in entries if entry.error is not None]
        if errors:
            lines.append(
                f"- {safe(device)}: {len(errors)} networks measured after the search, predictions "
                f"{100 * sum(errors) / len(errors):.1f} % off on average, "
                f"{100 * max(errors):.1f} % at most"
            )
    return ["Predicted beside measured:", "\n".join(lines)] if lines else []


def _evaluations(run: Run) -> list[str]:
    """Show what `growsearch evaluate` found, where it was asked."""
    folder = f"{run.folder}/trials"
    found = {t.id: read_evaluation(f"{folder}/{t.id}") for t in run.finished}
    there = {name: data for name, data in found.items() if data is not None}
    if not there:
        return []
    taken = dict.fromkeys(name for data in there.values() for name in data["metrics"])
    names = [*(n for n in MEASURES if n in taken), *(n for n in taken if n not in MEASURES)]
    rows = [
        [trial, f"{data.get('split')} of {data.get('data')}", *_values(data["metrics"], names)]
        for trial, data in there.items()
    ]
    return ["## Beyond accuracy", markdown_table(["Network", "On", *map(title, names)], rows)]


def _values(metrics: Mapping[str, float], names: Sequence[str]) -> list[str]:
    return [format_quantity(metrics[n], n) if n in metrics else "" for n in names]


def _progress(run: Run) -> list[str]:
    progress = hypervolume_progress(run)
    if not progress.steps:
        return []
    corner = ", ".join(f"{title(n)} {format_quantity(v, n)}" for n, v in progress.reference.items())
    return [
        "## Hypervolume",
        f"{100 * progress.steps[-1][1]:.1f} % of the box between the best and the worst value of "
        f"every objective in this run. Reference point: {safe(corner)}.",
    ]


def _not_trained(run: Run) -> str:
    """Say what was not trained to its end, where there is any."""
    stopped = f" {len(run.stopped)} were stopped early." if run.stopped else ""
    rejected = f" {run.rejected} candidates were rejected before training." if run.rejected else ""
    return stopped + rejected


def _failed(run: Run) -> list[str]:
    if not run.failed:
        return []
    rows = [[trial.id, describe_trial(trial), trial.error or "no message"] for trial in run.failed]
    return ["## Failed trials", markdown_table(["Trial", "Made by", "Error"], rows)]


def _fenced(text: str, language: str = "yaml") -> str:
    """Fence ``text`` with more backticks than it holds in a row."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}{fence}"
