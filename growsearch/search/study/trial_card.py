"""Model card of a trial: facts from its study and its ledger line."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from growsearch.datasets.preprocessing import FILTER, PREPROCESSING_FILE, ImageInput
from growsearch.export import CardFacts, DeviceCost, ExportResult
from growsearch.pareto import format_quantity
from growsearch.pareto.uncertainty import mean_interval
from growsearch.report.describe import describe_interval, describe_method, describe_trial, title
from growsearch.report.run_data import Run
from growsearch.trial.record import Trial

_FIRST = ("accuracy", "test_accuracy", "macs", "dense_macs", "parameters", "dense_parameters")
_NOT_SETTINGS = ("kind", "space")
_CHOSEN_BY = "validation, which the search chose by"
# So many classes are named on the card.
_NAMED = 20


def trial_card(run: Run, trial: Trial, result: ExportResult, *, words: bool) -> CardFacts:
    """Return the facts of a finished trial.

    Args:
        run: where it is from.
        trial: has a network.
        result: its export.
        words: whether its inputs are words of a vocabulary.
    """
    return CardFacts(
        title=f"{run.name} {trial.id}",
        summary=f"{describe_trial(trial)}: {_origin(run, trial)}",
        data=_data(run, trial, result, words=words),
        results=_results(run, trial),
        devices=tuple(
            DeviceCost(
                device=device,
                latency=format_quantity(found.value_s, "latency"),
                interval=describe_interval(found),
                method=describe_method(found),
            )
            for device, found in trial.latency.items()
        ),
        training=_training(trial),
        provenance=provenance_rows(run.study.get("provenance") or {})
        | {"network hash": str(trial.network_hash), "trial": f"{trial.id} of {run.name}"},
        limits=limits(tuple(found.method for found in trial.latency.values()), trial.metrics),
    )


def _data(run: Run, trial: Trial, result: ExportResult, *, words: bool) -> dict[str, str]:
    network, about = trial.network or {}, result.preprocessing
    shape = ", ".join(str(int(size)) for size in network.get("input_shape", ()))
    outputs = ", ".join(map(str, result.output_shape))
    kind, given = ("int64 words", "numbered") if words else ("float32", "normalised")
    return {
        "data set": str(run.study.get("dataset")),
        **_image_rows(result),
        "inputs": f"{kind} of shape (N, {shape}), "
        + (f"raw: {about.raw_because}" if about.images is None else f"{given} as above"),
        "outputs": f"{_given(run, trial)} of shape (N, {outputs})",
        **({"classes": _class_names(about.classes)} if about.classes else {}),
    }


def _image_rows(result: ExportResult) -> dict[str, str]:
    """Return how images become inputs, and what the program gives that takes them."""
    about, images = result.preprocessing, result.preprocessing.images
    if images is None:
        return {}
    channels, height, width = images.shape
    program = f"for image_program.pt2, which gives {_GIVES[about.probabilities]}"
    rows = {
        "pixels": f"uint8 of shape (N, {height}, {width}, {channels}), {_channels(images)}"
        + (f", {program}" if result.image_program else ""),
        "normalisation": f"(pixel - mean) / deviation of each channel, pixels from 0 to 255: mean "
        f"{_listed(images.mean)}; deviation {_listed(images.deviation)} (all digits: "
        f"{PREPROCESSING_FILE})",
    }
    if images.of_files:
        rows["image files"] = (
            f"PNG or JPEG, upright by EXIF, on white where transparent, resized (Pillow, {FILTER}) "
            f"to cover {width} x {height} (width x height), the middle cut out: read_pictures.py"
        )
    return rows


_GIVES = {True: "probabilities", False: "the outputs as they are"}


def _channels(images: ImageInput) -> str:
    if images.order == "as in the data":
        return "channels in the order that the data have"
    return "red, green, blue" if images.order == "RGB" else "grey"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _class_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more: {PREPROCESSING_FILE}" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _given(run: Run, trial: Trial) -> str:
    """Return what a network gives, as far as its task says."""
    if (trial.network or {}).get("target_scale") is not None:
        return "predictions, in the unit of the data's targets,"
    task = str(run.study.get("task") or "")
    if ":" in task:
        return f"outputs of the task {task.partition('@')[0]},"
    return "logits, one a label, of a sigmoid each," if "mAP" in trial.metrics else "logits"


def _origin(run: Run, trial: Trial) -> str:
    """Say where a network is from: given, searched for, or chosen before and finished."""
    if trial.is_mine:
        return f"as it was given to growsearch, which evaluated it in the study {run.name}."
    if run.study.get("whole"):
        return (
            f"chosen by a search of growsearch and trained anew, with the first of "
            f"{len(run.finished)} seeds, in {run.name}."
        )
    return f"found by growsearch among {len(run.finished)} finished trials of the study {run.name}."


def _training(trial: Trial) -> dict[str, str]:
    if trial.is_mine:
        # Its recipe is that of the other baselines: nothing of it was trained here.
        return {"weights": _said(trial.config.get("init")), "trained": "elsewhere: taken as it is"}
    settings = {k: _said(v) for k, v in trial.config.items() if k not in _NOT_SETTINGS}
    return {**settings, "seed": str(trial.seed)}


def _over_seeds(run: Run) -> dict[str, str]:
    """Return what a finished choice has over its seeds, where there are several."""
    found = [t.metrics["accuracy"] for t in run.finished if "accuracy" in t.metrics]
    if not run.study.get("whole") or len(found) < 2:
        return {}
    mean, deviation, _ = mean_interval(found)
    said = f"{format_quantity(mean, 'accuracy')} ± {100 * deviation:.2f} points"
    return {f"Test accuracy over {len(found)} seeds": f"{said}; this network is of the first"}


def _results(run: Run, trial: Trial) -> dict[str, str]:
    learned_validation = bool(run.study.get("whole"))
    metrics = {n: v for n, v in trial.metrics.items() if not n.startswith("latency[")}
    ordered = [*(n for n in _FIRST if n in metrics), *(n for n in metrics if n not in _FIRST)]
    by = "test; it has learned the validation examples" if learned_validation else _CHOSEN_BY
    names = {"accuracy": f"Accuracy ({by})"}
    told = {names.get(n, title(n)): format_quantity(metrics[n], n) for n in ordered}
    return {**told, **_over_seeds(run)}


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def provenance_rows(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return when, where and with what a run was started, a row each."""
    rows = {}
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            rows[key] = ", ".join(f"{k} {v}" for k, v in value.items())
        elif value is not None:
            rows[key.replace("_", " ")] = str(value)
    return rows


def limits(methods: tuple[str, ...], metrics: Container[str]) -> tuple[str, ...]:
    """Return what the figures of a card do not say."""
    figures = "Accuracies" if "accuracy" in metrics else "Figures of quality"
    said = [
        "It was trained and judged on this data set alone; other inputs, shifts and attacks were "
        "not looked at.",
        f"{figures} are of one training run with one seed, where nothing else is said.",
        "MACs count convolutions and linear layers; zeros that are skipped in the count save time "
        "only where the device says so.",
    ]
    if "analytic" in methods:
        said.append("Analytic latencies are a model's, calibrated on published ratios.")
    if "fitted" in methods:
        said.append("Fitted latencies are predicted from timings of other networks.")
    if "measured" in methods:
        said.append("Measured latencies hold for that machine and number of threads.")
    return tuple(said)
