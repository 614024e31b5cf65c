"""Descriptions in a few words: of a trial, a metric, a latency."""

from __future__ import annotations

from collections.abc import Mapping

from growsearch.kinds import KINDS
from growsearch.pareto import MEASURES, Direction, format_quantity
from growsearch.shown_text import shown
from growsearch.trial.record import Latency, Trial

_TITLES = {
    "test_accuracy": "Test accuracy",
    "macs": "MACs (zeros skipped)",
    "dense_macs": "Dense MACs",
    "parameters": "Parameters (non-zero)",
    "dense_parameters": "Dense parameters",
    "training_macs": "Training MACs",
    "dense_training_macs": "Training MACs, dense network",
    "trunk_training_macs": "Training MACs of the trunk up to it",
    "front_training_macs": "Training MACs of the whole front",
    "dense_gradient_macs": "MACs for masked gradients",
    "mac_error": "Off the dense MACs by",
    "test_perplexity": "Test perplexity",
    "full_parameters": "Parameters of the full network",
    "full_macs": "MACs of the full network",
    "budget_cost": "Budget spent",
    "budget_limit": "Budget",
    "budget_floor": "Smallest network of the budget",
    "kept_parameters_share": "Parameters at full width",
    "kept_macs_share": "MACs at full width",
    "budget_latency_s": "Latency under the budget's conditions",
    "budget_noise": "Noise of the budget's latency",
    "kept_share": "Share that keeps its width",
    "budget_fit_error": "Miss of the latency fit",
}


def describe_trial(trial: Trial) -> str:
    """Return a network's name for people, such as "resnet-digits, 28 % of parameters, grown".

    It begins with what it is made from; own code without its module and hash.
    """
    words, space = KINDS.words(trial.kind), trial.config.get("space")
    how = trial.kind if words is None else words.describe(trial.config)
    if not isinstance(space, str) or not space:
        return shown(how)
    return shown(f"{space.partition('@')[0].rpartition(':')[2] or space}, {how}")


def kind_title(name: str) -> str:
    """Return a kind of trial for people: "grown"; an unknown one keeps its name."""
    words = KINDS.words(name)
    return shown(name) if words is None else words.title


def title(metric: str) -> str:
    """Return a metric's name for people; units are with the values."""
    return shown(_titled(metric))


def _titled(metric: str) -> str:
    name, _, device = metric.partition("[")
    if device:
        return f"{name.capitalize()} on {device.rstrip(']')}"
    if metric in MEASURES:
        return MEASURES[metric].title
    return _TITLES.get(metric, metric.replace("_", " ").capitalize())


def direction_of(metric: str, objectives: Mapping[str, Direction]) -> Direction:
    """Return which way is better: as the study or the measure says, else less of all else."""
    if metric in objectives:
        return objectives[metric]
    if metric in MEASURES:
        return MEASURES[metric].direction
    return "maximize" if "accuracy" in metric else "minimize"


def latency_devices(trials: tuple[Trial, ...]) -> list[str]:
    """Return the devices that any finished trial has a latency on, in order of appearance."""
    # Most trials have the same metrics: each set of names is looked at once.
    kinds = dict.fromkeys(tuple(trial.metrics) for trial in trials if trial.finished)
    names = (metric for kind in kinds for metric in kind)
    return list(dict.fromkeys(n[8:-1] for n in names if n.startswith("latency[")))


def describe_interval(latency: Latency) -> str:
    """Return "300 µs to 320 µs", or nothing where the interval is not known."""
    if latency.low_s is None or latency.high_s is None:
        return ""
    low, high = (format_quantity(v, "latency") for v in (latency.low_s, latency.high_s))
    return f"{low} to {high}"


def describe_check(latency: Latency) -> str:
    """Return "measured 1.1 ms, predicted 4.2 % too slow", or nothing for what was not checked.

    Where the two differ, processor time is what was predicted, and the whole time stands beside it.
    """
    if latency.measured is None or latency.error is None:
        return ""
    way = "slow" if latency.error > 0 else "fast"
    taken = format_quantity(latency.measured.compared_s, "latency")
    if latency.measured.processor_s is not None:
        whole = format_quantity(latency.measured.value_s, "latency")
        taken = f"{taken} of processor time ({whole} in all)"
    return f"measured {taken}, predicted {100 * abs(latency.error):.1f} % too {way}"


def describe_method(latency: Latency) -> str:
    """Return how a latency was found, with its conditions: never a number without its method."""
    words: list[str] = [latency.method]
    if latency.device:
        words.append(f"on {latency.device}")
    if latency.batch_size is not None:
        words.append(f"batch {latency.batch_size}")
    if latency.threads is not None:
        words.append(f"{latency.threads} thread{'s' if latency.threads != 1 else ''}")
    if latency.noise is not None:
        words.append(f"noise {100 * latency.noise:.1f} %")
    if latency.note:
        words.append(latency.note)
    words += filter(None, [describe_check(latency)])
    return shown(", ".join(words))
