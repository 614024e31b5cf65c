"""Parquet table of all trials for data frames: one row a trial, base units, typed columns."""

from __future__ import annotations

import io
import json
from typing import Any

from growsearch.errors import UsageError
from growsearch.report.describe import describe_trial, latency_devices
from growsearch.report.page_data import metric_names
from growsearch.report.run_data import Run
from growsearch.shown_text import shown, shown_lines
from growsearch.trial.record import Trial

_LATENCY = ("method", "low_s", "high_s", "noise")


def render_parquet(run: Run) -> bytes:
    """Return trials.parquet: every trial, failed and stopped ones too, the front marked.

    Metrics are columns of float64 under their own names, missing ones null; "config" is JSON.

    Raises:
        UsageError: where pyarrow, which comes with Ray, is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise UsageError("--format parquet needs pyarrow: pip install pyarrow") from error
    members = {member.id for member in run.front().members}
    metrics, devices = metric_names(run), latency_devices(run.trials)
    text, whole, number = pa.string(), pa.int64(), pa.float64()
    columns: dict[str, tuple[Any, list[Any]]] = {
        "id": (text, [t.id for t in run.trials]),
        "number": (whole, [t.number for t in run.trials]),
        "kind": (text, [t.kind for t in run.trials]),
        "status": (text, [t.status for t in run.trials]),
        "front": (pa.bool_(), [t.id in members for t in run.trials]),
        "description": (text, [describe_trial(t) for t in run.trials]),
        "seed": (whole, [t.seed for t in run.trials]),
        "duration_s": (number, [t.duration_s for t in run.trials]),
        "error": (text, [t.error for t in run.trials]),
    }
    for name in metrics:
        columns[name] = (number, [_number(t.metrics.get(name)) for t in run.trials])
    for device in devices:
        for name in _LATENCY:
            kind = text if name == "method" else number
            values = [_latency(t, device, name) for t in run.trials]
            columns[f"latency[{device}].{name}"] = (kind, values)
    columns["config"] = (text, [json.dumps(dict(t.config)) for t in run.trials])
    arrays = {
        shown(name): pa.array(_texts(values) if kind is text else values, type=kind)
        for name, (kind, values) in columns.items()
    }
    buffer = io.BytesIO()
    parquet.write_table(pa.table(arrays), buffer)
    return buffer.getvalue()


def _texts(values: list[str | None]) -> list[str | None]:
    """Make control codes visible, half characters too, which no file can be written with."""
    return [None if value is None else shown_lines(value) for value in values]


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _latency(trial: Trial, device: str, name: str) -> Any:
    entry = trial.latency.get(device)
    return None if entry is None else getattr(entry, name)
