"""JSON report for programs: the front, the choices and the progress."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from growsearch.report.choice.study_choice import study_choice
from growsearch.report.choice.told_apart import over_seeds
from growsearch.report.choice_text import choice_lines
from growsearch.report.describe import describe_trial
from growsearch.report.device_choice import DeviceChoice, device_choices, headline
from growsearch.report.progress import hypervolume_progress
from growsearch.report.run_data import Run
from growsearch.trial.record import Trial

FORMAT = 1


def render_json(run: Run) -> str:
    """Return report.json; numbers are in base units, and no date is added, so reruns are equal."""
    front, progress = run.front(), hypervolume_progress(run)
    data = {
        "format": FORMAT,
        "name": run.name,
        "objectives": run.objectives,
        "trials": {
            "finished": len(run.finished),
            "failed": len(run.failed),
            "stopped": len(run.stopped),
            "rejected": run.rejected,
        },
        "front": [_member(run.trial(member.id)) for member in front.members],
        "choice": _study_choice(run),
        "choices": [_choice(choice, next(iter(run.objectives))) for choice in device_choices(run)],
        "hypervolume": {
            "share_of_box": progress.steps[-1][1] if progress.steps else None,
            "by_compared_trials": [list(step) for step in progress.steps],
            "reference": dict(progress.reference),
            "ideal": dict(progress.ideal),
        },
        "failed": [{"id": trial.id, "error": trial.error} for trial in run.failed],
        "stopped": [
            {
                "id": trial.id,
                "description": describe_trial(trial),
                "metrics": dict(trial.metrics),
                "rungs": [rung.to_json() for rung in trial.rungs],
            }
            for trial in run.stopped
        ],
        "repeats": {name: _over_seeds(run, run.trial(name)) for name in run.repeats},
        "notes": list(run.notes),
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _study_choice(run: Run) -> dict[str, Any] | None:
    """Return what `growsearch select` takes without flags; None where nothing can be compared."""
    if not run.front().points:
        return None
    choice = study_choice(run)
    return {
        "rule": choice.wishes.say(),
        "chosen": None if choice.chosen is None else choice.chosen.id,
        "nearest": None if choice.nearest is None else choice.nearest.id,
        "lines": choice_lines(choice),
    }


def _over_seeds(run: Run, trial: Trial) -> dict[str, Any]:
    """Return the metrics of a trial's repeats with other seeds: mean, deviation and interval."""
    found = {name: over_seeds(run, trial, name) for name in trial.metrics}
    return {name: dataclasses.asdict(told) for name, told in found.items() if told is not None}


def _member(trial: Trial) -> dict[str, Any]:
    data = trial.to_json()
    wanted = ("id", "number", "kind", "config", "seed", "metrics", "latency", "network_hash")
    return {"description": describe_trial(trial), **{name: data[name] for name in wanted}}


def _choice(choice: DeviceChoice, quality: str) -> dict[str, Any]:
    named = {
        "chosen": choice.chosen,
        "nearest": choice.nearest,
        "most_accurate": choice.most_accurate,
        "smallest": choice.smallest,
    }
    return {
        "device": choice.device,
        "rule": choice.rule,
        "budget_s": choice.budget_s,
        **{name: None if trial is None else trial.id for name, trial in named.items()},
        "headline": headline(choice, quality),
    }
