"""Choices for a device: which network to take, and what is given up against the extremes?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from growsearch.pareto import (
    Direction,
    Front,
    Point,
    Selection,
    Wishes,
    format_bound,
    format_quantity,
)
from growsearch.report.choice.study_choice import choosable, study_choice
from growsearch.report.choice.told_apart import faster, given_up
from growsearch.report.describe import describe_trial, latency_devices
from growsearch.report.run_data import Run, once_a_run, point_of
from growsearch.trial.record import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChoice:
    """One device's answer: the choice, how it was made, and the two extremes to compare with.

    ``chosen`` is None where nothing meets the study's bounds; ``nearest`` then misses them least.
    ``budget_s`` is the latency bound of the study, or None. ``examples`` are those that accuracies
    were counted on, where that is known.
    """

    device: str
    rule: str
    budget_s: float | None
    chosen: Trial | None
    nearest: Trial | None
    most_accurate: Trial
    smallest: Trial
    examples: int | None = None


@once_a_run
def device_choices(run: Run) -> tuple[DeviceChoice, ...]:
    """Return one choice for each device with a latency; empty where nothing can be compared.

    That of the study's own device, which is its choice, comes first.
    """
    compared, own = choosable(run).points, _studys_device(run)
    devices = sorted(latency_devices(run.trials), key=lambda device: device != own)
    choices = (_choice(run, device, compared) for device in devices)
    return tuple(choice for choice in choices if choice is not None)


def _choice(run: Run, device: str, compared: tuple[Point, ...]) -> DeviceChoice | None:
    latency = f"latency[{device}]"
    quality = next(iter(run.objectives))
    if quality == latency:
        return None
    two: dict[str, Direction] = {quality: run.objectives[quality], latency: "minimize"}
    points = [p for p in compared if latency in p.values]
    if not points:
        return None
    front = dataclasses.replace(Front.of(points, two), examples=run.examples)
    if device == _studys_device(run):
        wishes = run.wishes
        selection = study_choice(run).selection
    else:
        wishes = _wishes(run, latency, two)
        selection = front.choose(wishes)
    trials = {trial.id: trial for trial in run.trials}
    smallest = min(points, key=lambda p: (p.values.get("parameters", p.values[latency]), p.id))
    return DeviceChoice(
        device=device,
        rule=_rule(wishes, selection, quality),
        budget_s=next((b.value for b in wishes.bounds if b.objective == latency), None),
        chosen=_trial(trials, selection.chosen),
        nearest=_trial(trials, selection.nearest),
        most_accurate=trials[front.members[0].id],
        smallest=trials[smallest.id],
        examples=run.examples,
    )


def _studys_device(run: Run) -> str | None:
    """Return the device that the study itself chooses for: the first that it bounds, else the first
    objective, else the first.

    Its answer is the study's choice, so that nobody reads of one network and exports another.
    """
    bounded = {bound.objective for bound in run.wishes.bounds}
    devices = latency_devices(run.trials)
    for names in (bounded, run.objectives):
        for device in devices:
            if f"latency[{device}]" in names:
                return device
    return next(iter(devices), None)


def _trial(trials: dict[str, Trial], point: Point | None) -> Trial | None:
    return None if point is None else trials[point.id]


def _wishes(run: Run, latency: str, two: Mapping[str, Direction]) -> Wishes:
    """Return the study's bounds that concern another device, and how to choose inside them.

    The latency of the study's own device is no reason against a network here. Without an upper
    bound the most accurate network would always win whatever it costs, so the knee is taken then.
    """
    asked = run.wishes
    bounds = tuple(
        bound
        for bound in asked.bounds
        if bound.objective == latency or not bound.objective.startswith("latency[")
    )
    weights = {name: weight for name, weight in asked.weights.items() if name in two}
    prefer = asked.prefer
    if prefer == "weights" and not weights:
        # No weight concerns this device.
        prefer = "accuracy"
    if prefer == "accuracy" and not any(bound.sense == "max" for bound in bounds):
        prefer = "knee"
    return Wishes(
        bounds=bounds,
        prefer=prefer,
        weights=weights,
        confidence=asked.confidence,
        ties=asked.ties if prefer == "accuracy" else "auto",
    )


def _rule(wishes: Wishes, selection: Selection, quality: str) -> str:
    ties = selection.ties
    tied = ties is not None and ties.applied
    best = {
        "accuracy": f"cheapest within a standard error of the best {quality}"
        if tied
        else f"best {quality}",
        "knee": f"knee of {quality} and latency",
        "hypervolume": f"most hypervolume of {quality} and latency",
        "weights": f"weighted {quality} and latency",
    }[wishes.prefer]
    return f"{best}, {' and '.join(map(format_bound, wishes.bounds)) or 'no bound set'}"


def headline(choice: DeviceChoice, quality: str) -> str:
    """Return the answer in one sentence, with what is given up against the best."""
    taken = choice.chosen
    if taken is None:
        near = f"; nearest: {choice.nearest.id}" if choice.nearest else ""
        return f"On {choice.device} no network fits ({choice.rule}){near}."
    latency = f"latency[{choice.device}]"
    method = taken.latency[choice.device].method if choice.device in taken.latency else "unknown"
    start = (
        f"On {choice.device} take {taken.id} ({describe_trial(taken)}): "
        f"{format_quantity(taken.metrics[quality], quality)} {quality} "
        f"at {format_quantity(taken.metrics[latency], latency)} ({method})"
    )
    best = choice.most_accurate
    if best.id == taken.id:
        return f"{start}. No compared network has a better {quality}."
    one, other = (point_of(trial) for trial in (taken, best))
    return (
        f"{start}. Against the best ({best.id}) it gives up {_lost(choice, quality)} "
        f"and {faster(one, other, latency)}."
    )


def _lost(choice: DeviceChoice, quality: str) -> str:
    assert choice.chosen is not None
    best, taken = choice.most_accurate.metrics[quality], choice.chosen.metrics[quality]
    if quality == "accuracy":
        return given_up(100 * (best - taken), best, taken, choice.examples)
    if "accuracy" in quality:
        return f"{100 * abs(best - taken):.2f} points of {quality}"
    return f"{format_quantity(abs(best - taken), quality)} of {quality}"
