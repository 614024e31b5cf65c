"""MLflow: one run a trial on the server that MLFLOW_TRACKING_URI names, over its REST interface.

https://mlflow.org/docs/latest/rest-api.html, version 2.0 of the interface; no package is needed.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError, UsageError
from growsearch.search.trackers.tracker import Tracked

_VARIABLE = "MLFLOW_TRACKING_URI"
_TAG = "growsearch.trial"
_TIMEOUT_S = 10.0
# What one request may hold.
_MAX_METRICS, _MAX_PARAMS, _PAGE = 1000, 100, 1000


class MLflowTracker:
    """An experiment named for the study; every trial is a run with its curves and figures."""

    def __init__(self, run: Path, study: str) -> None:  # noqa: ARG002
        address = os.environ.get(_VARIABLE, "")
        if not address.startswith(("http://", "https://")):
            raise UsageError(
                f"trackers: mlflow needs the server's address in {_VARIABLE}, such as "
                "http://127.0.0.1:5000 (start one with: mlflow server --host 127.0.0.1)"
            )
        self._address = address.rstrip("/")
        self._experiment = self._experiment_called(study)
        self._known = set(self._written())

    def has(self, trial_id: str) -> bool:
        """Tell whether the experiment has a finished run of the trial."""
        return trial_id in self._known

    def log(self, tracked: Tracked) -> None:
        """Write a run."""
        trial = tracked.trial
        ended = time.time() if trial.ended_at is None else trial.ended_at
        now = round(1000 * ended)
        tags = {_TAG: trial.id, "growsearch.kind": trial.kind, "growsearch.status": trial.status}
        run = self._post(
            "runs/create",
            experiment_id=self._experiment,
            run_name=trial.id,
            start_time=now - round(1000 * trial.duration_s),
            tags=_pairs(tags),
        )["run"]["info"]["run_id"]
        params = _pairs(tracked.params())[:_MAX_PARAMS]
        self._post("runs/log-batch", run_id=run, params=params)
        metrics = [
            {"key": name, "value": value, "timestamp": now, "step": step}
            for step, figures in [*tracked.epochs(), (0, tracked.metrics())]
            for name, value in figures.items()
        ]
        for start in range(0, len(metrics), _MAX_METRICS):
            batch = metrics[start : start + _MAX_METRICS]
            self._post("runs/log-batch", run_id=run, metrics=batch)
        # Last: a run that is not finished is written again by the next session.
        status = "FAILED" if trial.failed else "FINISHED"
        self._post("runs/update", run_id=run, status=status, end_time=now)
        self._known.add(trial.id)

    def _experiment_called(self, name: str) -> str:
        query = urllib.parse.urlencode({"experiment_name": name})
        try:
            found = self._ask(f"experiments/get-by-name?{query}", None)["experiment"]
        except _NotThereError:
            found = self._post("experiments/create", name=name)
        return str(found["experiment_id"])

    def _written(self) -> Iterator[str]:
        token: str | None = None
        while True:
            page = self._post(
                "runs/search",
                experiment_ids=[self._experiment],
                max_results=_PAGE,
                **({"page_token": token} if token else {}),
            )
            for run in page.get("runs", ()):
                tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}
                if _TAG in tags and run["info"]["status"] in ("FINISHED", "FAILED"):
                    yield tags[_TAG]
            token = page.get("next_page_token")
            if not token:
                return

    def _post(self, path: str, **content: Any) -> Any:
        return self._ask(path, json.dumps(content, allow_nan=False).encode())

    def _ask(self, path: str, content: bytes | None) -> Any:
        request = urllib.request.Request(  # the scheme was checked above
            f"{self._address}/api/2.0/mlflow/{path}",
            data=content,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
            if "RESOURCE_DOES_NOT_EXIST" in reason:
                raise _NotThereError(reason) from error
            raise GrowsearchError(f"MLflow at {self._address}: {error.code} {reason}") from error
        except (OSError, ValueError) as error:
            raise GrowsearchError(
                f"MLflow at {self._address} does not answer ({error}); start it, set {_VARIABLE}, "
                "or remove mlflow from trackers"
            ) from error


class _NotThereError(Exception):
    """The server has no such thing."""


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
