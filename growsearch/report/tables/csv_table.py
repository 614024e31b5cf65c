"""CSV table of the front: one row a member, base units."""

from __future__ import annotations

import csv
import io
import json

from growsearch.report.describe import describe_trial, latency_devices
from growsearch.report.page_data import metric_names
from growsearch.report.run_data import Run
from growsearch.shown_text import table_cell
from growsearch.trial.record import Trial

_LATENCY_COLUMNS = ("method", "low_s", "high_s", "noise")


def render_csv(run: Run) -> str:
    """Return the front as CSV: seconds, pieces and shares, with each latency's method.

    Texts that a spreadsheet would run as a formula begin with an apostrophe.
    """
    metrics, devices = metric_names(run), latency_devices(run.trials)
    header = ["id", "number", "kind", "description", "seed", *metrics]
    header += [f"latency[{device}].{name}" for device in devices for name in _LATENCY_COLUMNS]
    header.append("config")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(table_cell, header))
    for member in run.front().members:
        writer.writerow(map(table_cell, _row(run.trial(member.id), metrics, devices)))
    return buffer.getvalue()


def _row(trial: Trial, metrics: list[str], devices: list[str]) -> list[object]:
    row: list[object] = [trial.id, trial.number, trial.kind, describe_trial(trial), trial.seed]
    row += [trial.metrics.get(name, "") for name in metrics]
    for device in devices:
        entry = trial.latency.get(device)
        values = (getattr(entry, name, None) for name in _LATENCY_COLUMNS)
        row += ["" if value is None else value for value in values]
    return [*row, json.dumps(dict(trial.config))]
