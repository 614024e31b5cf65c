"""Data of the report page: the whole run as plain JSON, small enough to embed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from growsearch.pareto import bounds_from_mapping
from growsearch.pareto.quantities import COUNT, ENERGY, SHARE, TIME, quantity_of
from growsearch.reading import write_yaml
from growsearch.report.analysis.influence import MIN_TRIALS, influences
from growsearch.report.analysis.timeline import timeline
from growsearch.report.choice.sparse_gain import sparse_lines
from growsearch.report.choice.study_choice import choosable, study_choice
from growsearch.report.choice.told_apart import over_seeds
from growsearch.report.choice_text import tie_lines
from growsearch.report.compact_json import compact_json
from growsearch.report.describe import describe_trial, direction_of, latency_devices, title
from growsearch.report.device_choice import DeviceChoice, device_choices
from growsearch.report.evaluations import read_evaluation
from growsearch.report.kept_layers import read_kept_layers
from growsearch.report.progress import hypervolume_progress
from growsearch.report.records import read_records
from growsearch.report.run_data import Run, once_a_run, read_history
from growsearch.shown_text import shown
from growsearch.trial.record import LEARNED, Latency, Trial

# What layers and histories may take of the page; the front's come first.
DETAIL_BYTES = 3_000_000
# Of a history: what the page draws.
_DRAWN = ("epoch", "accuracy", f"{LEARNED}accuracy")
_WIDTHS = "width."
# Settings whose values are drawn against the objectives.
_SLICES = 8
_BASELINES = ("mine", "dense", "uniform")

_KINDS = {TIME.name: "time", ENERGY.name: "energy", COUNT.name: "count", SHARE.name: "share"}


def page_data(run: Run, detail_bytes: int = DETAIL_BYTES) -> dict[str, Any]:
    """Return everything the page shows.

    Finished trials are columns under "trials", in the order they finished; other entries refer to
    them by index. "details" holds layers and history by id, for as many trials as fit into
    ``detail_bytes``: the front first, then the rest in order.
    """
    index = {trial.id: place for place, trial in enumerate(run.finished)}
    front = [index[member.id] for member in run.front().members]
    return {
        "name": run.name,
        "dataset": str(run.study.get("dataset", "")),
        "quality": next(iter(run.objectives)),
        "examples": run.examples,
        "metrics": _metrics(run),
        "trials": _columns(run),
        "front": front,
        "baselines": _baselines(run),
        "failed": [_failed(trial) for trial in run.failed],
        "stopped": [_stopped(trial) for trial in run.stopped],
        "rejected": run.rejected,
        "checks": {device: _checks(run, device) for device in latency_devices(run.finished)},
        "details": _details(run, front, detail_bytes),
        "choice": _study_choice(run, index),
        "only": _only(run, index),
        "choices": [_choice(choice, index) for choice in device_choices(run)],
        "bounds": _select_bounds(run),
        "wishes": _wishes(run),
        "progress": _progress(run),
        "repeats": _repeats(run),
        "influence": _influence(run, index),
        "timeline": _timeline(run, index),
        "notes": list(run.notes),
        "settings": _yaml({k: v for k, v in run.study.items() if k != "provenance"}),
        "provenance": _yaml(run.study.get("provenance") or {}),
    }


def _yaml(data: Mapping[str, Any]) -> str:
    return write_yaml(data)


@once_a_run
def metric_names(run: Run) -> list[str]:
    """Return all metrics of finished trials: the objectives first, then in order of appearance."""
    # Most trials have the same metrics: each set of names is looked at once.
    kinds = dict.fromkeys(tuple(trial.metrics) for trial in run.finished)
    found = dict.fromkeys(name for kind in kinds for name in kind)
    return [*run.objectives, *(name for name in found if name not in run.objectives)]


def _metrics(run: Run) -> list[dict[str, Any]]:
    return [_metric(name, run) for name in metric_names(run)]


def _metric(name: str, run: Run) -> dict[str, Any]:
    quantity = quantity_of(name)
    return {
        "name": name,
        "title": title(name),
        "kind": _KINDS.get(quantity.name, "plain"),
        "base": quantity.base,
        "direction": direction_of(name, run.objectives),
        "objective": name in run.objectives,
    }


def _columns(run: Run) -> dict[str, Any]:
    trials, compared = run.finished, {point.id for point in run.front().points}
    return {
        "id": [t.id for t in trials],
        "number": [t.number for t in trials],
        "kind": [t.kind for t in trials],
        "text": [describe_trial(t) for t in trials],
        "feasible": [t.id in compared for t in trials],
        "values": {name: [t.metrics.get(name) for t in trials] for name in metric_names(run)},
        "latency": {
            device: _latency_columns([t.latency.get(device) for t in trials])
            for device in latency_devices(trials)
        },
    }


def _baselines(run: Run) -> list[list[Any]]:
    """Return the baselines by index, and which each is: the person's own, dense or uniform."""
    return [
        [place, which]
        for place, trial in enumerate(run.finished)
        if trial.kind == "baseline" and (which := trial.config.get("which")) in _BASELINES
    ]


def _latency_columns(entries: Sequence[Latency | None]) -> dict[str, Any]:
    return {
        "method": [None if entry is None else entry.method for entry in entries],
        "low": [None if entry is None else _short(entry.low_s) for entry in entries],
        "high": [None if entry is None else _short(entry.high_s) for entry in entries],
        "noise": [None if entry is None else _short(entry.noise) for entry in entries],
    }


def _short(value: float | None) -> float | None:
    """Keep six digits: more than anyone sees, and half the page. JSON knows no NaN."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _failed(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.id,
        "number": trial.number,
        "kind": trial.kind,
        "text": describe_trial(trial),
        "error": trial.error or "no message",
    }


def _stopped(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.id,
        "text": describe_trial(trial),
        "epochs": trial.metrics.get("epochs"),
        "accuracy": _short(trial.metrics.get("accuracy")),
    }


def _checks(run: Run, device: str) -> list[dict[str, Any]]:
    """Return predicted and measured seconds of the networks that were measured afterwards."""
    found = []
    for index, trial in enumerate(run.finished):
        entry = trial.latency.get(device)
        if entry is not None and entry.measured is not None:
            found.append(
                {
                    "index": index,
                    "predicted": entry.value_s,
                    "low": _short(entry.low_s),
                    "high": _short(entry.high_s),
                    "measured": entry.measured.compared_s,
                }
            )
    return found


def _details(run: Run, front: Sequence[int], budget: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for trial in _front_first(run.finished, front):
        detail = _detail(run, trial)
        budget -= len(compact_json(detail)) + len(trial.id) + 4
        if budget < 0:
            break
        found[trial.id] = detail
    return found


def _front_first(trials: Sequence[Trial], front: Sequence[int]) -> Iterable[Trial]:
    members = set(front)
    yield from (trials[place] for place in front)
    yield from (trial for place, trial in enumerate(trials) if place not in members)


def _detail(run: Run, trial: Trial) -> dict[str, Any]:
    first = next(iter(run.objectives))
    history = {
        name: column
        for name, column in read_history(run, trial).items()
        if name in (*_DRAWN, first, f"{LEARNED}{first}") or name.startswith(_WIDTHS)
    }
    return {
        "config": dict(trial.config),
        "seed": trial.seed,
        "duration_s": _short(trial.duration_s),
        "hash": trial.network_hash,
        "network": None if trial.network is None else dict(trial.network),
        "latency": {device: entry.to_json() for device, entry in trial.latency.items()},
        "evaluation": _evaluation(run, trial),
        "records": _records(run, trial),
        **_kept(run, trial),
        **({"zeros": zeros} if (zeros := sparse_lines(run, trial)) else {}),
        "layers": [layer.to_json() for layer in trial.layers],
        "history": {name: [_short(v) for v in column] for name, column in history.items()},
    }


def _evaluation(run: Run, trial: Trial) -> dict[str, Any] | None:
    """Return where a network was evaluated, and its measures with titles and units."""
    found = read_evaluation(run.folder / "trials" / trial.id)
    if found is None:
        return None
    return {
        "data": found.get("data"),
        "split": found.get("split"),
        "examples": found.get("examples"),
        "metrics": [{**_metric(name, run), "value": v} for name, v in found["metrics"].items()],
        "classes": [{**entry, "name": shown(entry["name"])} for entry in found.get("classes", ())],
        "confusion": found.get("confusion", []),
    }


def _records(run: Run, trial: Trial) -> dict[str, Any]:
    """Return what the trial was asked to record; only then a file is looked for."""
    asked = trial.config.get("record") or ()
    if not isinstance(asked, list | tuple) or not asked:
        return {}
    names = [name for name in asked if isinstance(name, str)]
    found = read_records(run.folder / "trials" / trial.id, names)
    return {
        name: {figure: [_short(v) for v in column] for figure, column in columns.items()}
        for name, columns in found.items()
    }


def _kept(run: Run, trial: Trial) -> dict[str, Any]:
    """Return the layers that could not grow, where the ledger says that there are such."""
    if "kept_macs_share" not in trial.metrics:
        return {}
    kept = read_kept_layers(run.folder / "trials" / trial.id)
    return {"kept": [[k.name, k.reason, k.parameters, k.macs] for k in kept]}


def _only(run: Run, index: Mapping[str, int]) -> list[int] | None:
    """Return the networks that may be chosen where not all that are compared may, else None."""
    front, some = run.front(), choosable(run)
    return None if some is front else [index[point.id] for point in some.points]


def _study_choice(run: Run, index: Mapping[str, int]) -> dict[str, Any] | None:
    """Return what the study chooses, where there is anything to choose from."""
    if not run.front().points:
        return None
    choice = study_choice(run)
    named = {"chosen": choice.chosen, "nearest": choice.nearest}
    places = {name: None if trial is None else index[trial.id] for name, trial in named.items()}
    told = " ".join(map(str.strip, tie_lines(choice)))
    return {**places, "rule": choice.wishes.say(), "ties": told}


def _choice(choice: DeviceChoice, index: Mapping[str, int]) -> dict[str, Any]:
    named = {
        "chosen": choice.chosen,
        "nearest": choice.nearest,
        "most_accurate": choice.most_accurate,
        "smallest": choice.smallest,
    }
    places = {name: None if trial is None else index[trial.id] for name, trial in named.items()}
    return {
        "device": choice.device,
        "rule": choice.rule,
        "budget_s": choice.budget_s,
        **places,
    }


def _wishes(run: Run) -> list[list[Any]]:
    """Return all of the study's bounds, where the page's own sliders begin."""
    bounds = bounds_from_mapping(run.study.get("select") or {}, "select")
    return [[b.objective, b.sense, b.value] for b in bounds]


def _repeats(run: Run) -> dict[str, dict[str, str]]:
    """Return what is said of trainings with other seeds, by trial and metric."""
    return {
        name: {
            metric: told.say(metric)
            for metric in ("accuracy", "test_accuracy", *run.objectives)
            if (told := over_seeds(run, run.trial(name), metric)) is not None
            and (told.deviation != 0 or "accuracy" in metric)
        }
        for name in run.repeats
    }


def _select_bounds(run: Run) -> list[dict[str, Any]]:
    """Return the study's other bounds: the page keeps them when a latency budget is moved."""
    bounds = bounds_from_mapping(run.study.get("select") or {}, "select")
    return [
        {"objective": b.objective, "sense": b.sense, "value": b.value}
        for b in bounds
        if not b.objective.startswith("latency[")
    ]


def _progress(run: Run) -> dict[str, Any]:
    progress = hypervolume_progress(run)
    return {
        "steps": [[count, _short(share)] for count, share in progress.steps],
        "reference": dict(progress.reference),
        "ideal": dict(progress.ideal),
    }


def _influence(run: Run, index: Mapping[str, int]) -> dict[str, Any]:
    """Return what made a difference to each objective, and values of the settings that did most."""
    found = influences(run)
    best = dict.fromkeys((column.name for column in found.columns), 0.0)
    for metric in found.metrics:
        for name, mean, _ in metric.settings:
            best[name] = max(best[name], mean if metric.explained > 0 else 0.0)
    drawn = sorted(found.columns, key=lambda column: (-best[column.name], column.name))[:_SLICES]
    return {
        "needs": MIN_TRIALS,
        "metrics": [
            {
                "name": metric.metric,
                "trials": metric.trials,
                "explained": _short(metric.explained),
                "settings": [[name, _short(m), _short(s)] for name, m, s in metric.settings],
            }
            for metric in found.metrics
        ],
        "rows": [index[trial.id] for trial in found.trials] if found.metrics else [],
        "slices": [
            {
                "name": column.name,
                "values": [_short(value) for value in column.values],
                "categories": column.categories and list(column.categories),
            }
            for column in drawn
            if found.metrics
        ],
    }


def _timeline(run: Run, index: Mapping[str, int]) -> dict[str, Any]:
    """Return when trials ran, as columns; "index" is null for those without a result."""
    found = timeline(run)
    return {
        "id": [bar.trial.id for bar in found.bars],
        "index": [index.get(bar.trial.id) for bar in found.bars],
        "status": [bar.trial.status for bar in found.bars],
        "start": [round(bar.start_s, 1) for bar in found.bars],
        "end": [round(bar.end_s, 1) for bar in found.bars],
        "lane": [bar.lane for bar in found.bars],
        "pauses": [[round(at, 1), round(length, 1)] for at, length in found.pauses],
    }
