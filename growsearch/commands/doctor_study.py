"""Dry run of a study: what its trials will need, measured on a few steps, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from growsearch.commands.terminal import counted
from growsearch.report.live.time_left import clock

if TYPE_CHECKING:
    from growsearch.search.config.study import StudyConfig
    from growsearch.search.study.trial_needs import NotTried, TrialNeeds

# What the figures are of, so that nobody takes them for more.
_BESIDE = (
    "Not in these figures: evaluation after each epoch, mask updates, measuring, pretraining and "
    "drawing of tickets, and what trials at the same time take from each other. A growing network "
    "is smaller than the one that was tried."
)


def dry_run(study: Path, steps: int) -> tuple[list[str], dict[str, Any], bool]:
    """Try the largest networks of each kind of a study for a few steps.

    Returns:
        Lines for people, the same as JSON, and whether everything could be tried.

    Raises:
        UsageError: for a study that is wrong, or data that cannot be read.
    """
    from growsearch.search.config.file import load_study
    from growsearch.search.study.trial_needs import TrialNeeds, study_seconds, trial_needs

    config = load_study(study)
    learning = config.data_choice.load()
    found = list(trial_needs(config, learning, steps=steps))
    needs = [each for each in found if isinstance(each, TrialNeeds)]
    seconds = study_seconds(config, needs)
    lines = list(learning.summary)
    for each in found:
        lines += ["", *_lines(each)]
    lines += ["", *_study_lines(config, seconds, len(found) - len(needs)), *_repeats(config)]
    data = {
        "trials": [_plain(each) for each in found],
        "study_seconds": seconds,
        "repeats": config.search.repeats,
        "not_in_these_figures": _beside(config),
    }
    return lines, data, len(needs) == len(found)


def _lines(each: TrialNeeds | NotTried) -> list[str]:
    from growsearch.search.study.trial_needs import NotTried

    if isinstance(each, NotTried):
        return [f"!!  trials.{each.kind}: cannot be tried here: {each.reason}"]
    cost = each.cost
    taken = len(cost.steps_s)
    measured = (
        f"the median of {taken} steps after the first, which took {_time(cost.first_s)}"
        if taken
        else "the first step, the only one there is"
    )
    activations = (
        "compiled passes do not tell"
        if cost.activation_bytes is None
        else f"{_size(cost.activation_bytes)} kept for the backward pass"
    )
    return [
        f"ok  trials.{each.kind}: {each.network}",
        f"    measured on {cost.device}, {counted(cost.threads, 'thread')}, {cost.precision}, "
        f"{counted(cost.examples, 'example')} a step",
        f"    network: {cost.parameters:,} parameters, {_size(cost.network_bytes)} with buffers; "
        f"gradients {_size(cost.gradient_bytes)}; optimizer state {_size(cost.optimizer_bytes)}",
        f"    activations: {activations}",
        f"    memory: {_size(cost.counted_bytes)} counted; {_peak(each)}",
        f"    a step: {_time(cost.step_s)}, {measured}",
        f"    an epoch: about {_time(cost.epoch_s)}, {counted(cost.steps_per_epoch, 'step')}; "
        f"a trial: about {_time(each.trial_s)}, {counted(cost.epochs, 'epoch')}",
    ]


def _peak(each: TrialNeeds) -> str:
    cost = each.cost
    if cost.peak_bytes is None:
        return "a peak is not told here"
    if cost.device == "cpu":
        return f"this process grew by {_size(cost.peak_bytes)} or more in the first step"
    return (
        f"at most {_size(cost.peak_bytes)} allocated on {cost.device} in the first step, data too"
    )


def _study_lines(config: StudyConfig, seconds: float | None, missing: int) -> list[str]:
    search = config.search
    if seconds is None:
        told = "as many trials as fit the time budget" if search.trials is None else "not known"
        return [f"study: {told}", _beside(config)]
    of = f"{counted(search.trials or 0, 'trial')}, {search.parallel} at a time"
    without = (
        f" (without {counted(missing, 'kind')} of trial that could not be tried)" if missing else ""
    )
    budget = "" if search.time_budget is None else f"; it ends at {clock(search.time_budget)}"
    return [
        f"study: {of}: at most about {_time(seconds)}, as if every trial were "
        f"the slowest of these{without}{budget}",
        _beside(config),
    ]


def _repeats(config: StudyConfig) -> list[str]:
    if not config.search.repeats:
        return []
    times = counted(config.search.repeats, "time")
    return [
        f"repeats: each network of the front is trained {times} more, one after the other, for a "
        "trial's time each: not in the study's"
    ]


def _beside(config: StudyConfig) -> str:
    """Return what the figures leave out, of this study."""
    if config.workers == 1:
        return _BESIDE
    return f"{_BESIDE} They are of one worker; a trial of this study has {config.workers}."


def _plain(each: TrialNeeds | NotTried) -> dict[str, Any]:
    import dataclasses

    from growsearch.search.study.trial_needs import NotTried

    if isinstance(each, NotTried):
        return {"kind": each.kind, "not_tried": each.reason}
    cost = each.cost
    return {
        "kind": each.kind,
        "network": each.network,
        **dataclasses.asdict(cost),
        "step_s": cost.step_s,
        "epoch_s": cost.epoch_s,
        "trial_s": each.trial_s,
        "counted_bytes": cost.counted_bytes,
    }


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
