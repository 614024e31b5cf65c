"""Trackers hear of every ledger line once, over sessions, and never stop a search."""

import json
import struct
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from tensorboardX.proto.event_pb2 import Event

from growsearch.errors import GrowsearchError, UsageError
from growsearch.search.config.file import parse_study
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder
from growsearch.search.study.study import Study
from growsearch.search.trackers import TRACKERS, Tracked, followed
from growsearch.search.trackers.tracker import plain_name
from growsearch.trial.record import Trial


def trial(name, **changes):
    return Trial(
        **{
            "id": name,
            "number": 0,
            "kind": "growth",
            "status": "finished",
            "config": {"kind": "growth", "budget": {"parameters": 0.5}, "epochs": 2},
            "seed": 7,
            "metrics": {"accuracy": 0.9, "latency[cpu]": 0.001},
            **changes,
        }
    )


HISTORY = {"epoch": [1.0, 2.0], "accuracy": [0.5, 0.9], "loss": [1.5, 0.3]}


def recorder(folder, *names):
    found = Recorder(RunFolder(folder), seed=0)
    for name in names:
        finish(found, name)
    return found


def finish(found, name, **changes):
    place = found.folder.trial(name)
    place.mkdir(parents=True, exist_ok=True)
    (place / "history.csv").write_text("epoch,accuracy,loss\n1,0.5,1.5\n2,0.9,0.3\n")
    found.finish(trial(name, **changes))


def scalars(folder: Path):
    """Read TensorBoard's files by their format: length, checksum, content, checksum."""
    found = {}
    for path in folder.glob("events.*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[value.tag, event.step] = round(value.simple_value, 6)
    return found


def test_tensorboard_gets_curves_and_final_figures_of_every_trial(tmp_path):
    with followed(found := recorder(tmp_path), ["tensorboard"], "study"):
        finish(found, "aaa")
        finish(found, "bbb")
    shown = scalars(tmp_path / "tensorboard" / "aaa")
    assert shown["epoch/accuracy", 1] == 0.5
    assert shown["epoch/loss", 2] == 0.3
    assert shown["final/latency.cpu", 0] == 0.001
    assert scalars(tmp_path / "tensorboard" / "bbb") == shown
    assert not found.incidents


def test_what_an_earlier_session_missed_is_written_and_nothing_twice(tmp_path):
    found = recorder(tmp_path, "aaa")
    with followed(found, ["tensorboard"], "study"):
        pass
    before = list((tmp_path / "tensorboard" / "aaa").iterdir())
    with followed(found, ["tensorboard"], "study"):
        finish(found, "bbb")
    assert list((tmp_path / "tensorboard" / "aaa").iterdir()) == before
    assert (tmp_path / "tensorboard" / "bbb" / "written").exists()
    assert not found.listeners


class Server(BaseHTTPRequestHandler):
    """As much of MLflow's server as is asked: experiments, runs, batches."""

    runs: dict
    experiments: dict
    broken = False

    def do_GET(self):
        name = parse_qs(urlparse(self.path).query)["experiment_name"][0]
        if name not in self.experiments:
            self.answer({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)
            return
        self.answer({"experiment": {"experiment_id": self.experiments[name]}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        what = self.path.removeprefix("/api/2.0/mlflow/")
        if self.broken and what != "runs/search":
            self.answer({"error_code": "INTERNAL_ERROR"}, 500)
        elif what == "experiments/create":
            self.experiments[asked["name"]] = "7"
            self.answer({"experiment_id": "7"})
        elif what == "runs/create":
            name = f"run{len(self.runs)}"
            self.runs[name] = {"tags": asked["tags"], "metrics": [], "params": [], "status": "R"}
            self.answer({"run": {"info": {"run_id": name}}})
        elif what == "runs/log-batch":
            for kind in ("metrics", "params"):
                self.runs[asked["run_id"]][kind] += asked.get(kind, [])
            self.answer({})
        elif what == "runs/update":
            self.runs[asked["run_id"]]["status"] = asked["status"]
            self.answer({})
        else:
            page = [
                {"info": {"status": run["status"]}, "data": {"tags": run["tags"]}}
                for run in self.runs.values()
            ]
            # One run a page.
            index = int(asked.get("page_token", 0))
            more = {"next_page_token": str(index + 1)} if index + 1 < len(page) else {}
            self.answer({"runs": page[index : index + 1], **more})

    def answer(self, content, code=200):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def mlflow(monkeypatch):
    handler = type("Handler", (Server,), {"runs": {}, "experiments": {}})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/")
    yield handler
    server.shutdown()
    server.server_close()


def test_mlflow_gets_a_run_a_trial_with_settings_curves_and_figures(tmp_path, mlflow):
    with followed(found := recorder(tmp_path, "aaa"), ["mlflow"], "study"):
        finish(found, "bbb", status="failed", metrics={}, error="it diverged")
    first, second = mlflow.runs.values()
    assert mlflow.experiments == {"study": "7"}
    assert {"key": "growsearch.trial", "value": "aaa"} in first["tags"]
    assert {"key": "budget.parameters", "value": "0.5"} in first["params"]
    values = {(m["key"], m["step"]): m["value"] for m in first["metrics"]}
    assert values["epoch/accuracy", 1] == 0.5
    assert values["latency.cpu", 0] == 0.001
    assert (first["status"], second["status"]) == ("FINISHED", "FAILED")


def test_mlflow_is_asked_what_it_has_so_that_nothing_is_there_twice(tmp_path, mlflow):
    for _ in range(2):
        with followed(recorder(tmp_path, "aaa", "bbb", "ccc"), ["mlflow"], "study"):
            pass
    assert len(mlflow.runs) == 3


def test_a_server_that_breaks_is_left_out_and_the_search_goes_on(tmp_path, mlflow):
    found = recorder(tmp_path)
    with followed(found, ["mlflow", "tensorboard"], "study"):
        mlflow.broken = True
        finish(found, "aaa")
        finish(found, "bbb")
    (incident,) = found.incidents
    assert "tracker mlflow failed at trial aaa and was left out: GrowsearchError" in incident
    assert {"aaa", "bbb"} == {p.name for p in (tmp_path / "tensorboard").iterdir()}


def test_an_address_that_is_missing_or_silent_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with (
        pytest.raises(UsageError, match=r"address in MLFLOW_TRACKING_URI, such as http://127"),
        followed(recorder(tmp_path), ["mlflow"], "study"),
    ):
        pass
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with (
        pytest.raises(GrowsearchError, match="does not answer"),
        followed(recorder(tmp_path), ["mlflow"], "study"),
    ):
        pass


def test_wandb_gets_a_run_a_trial(tmp_path, monkeypatch):
    """A module of the same calls stands in: the service itself needs an account."""
    logged = []

    class Run:
        def __init__(self, **settings):
            self.settings, self.steps, self.summary = settings, {}, {}

        def __enter__(self):
            return self

        def __exit__(self, *error):
            logged.append(self)

        def log(self, figures, step):
            self.steps[step] = figures

    fake = types.ModuleType("wandb")
    fake.init, fake.Settings = Run, dict
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for _ in range(2):
        with followed(recorder(tmp_path, "aaa"), ["wandb"], "study"):
            pass
    (run,) = logged
    assert run.settings["project"] == "study"
    assert run.settings["config"]["epochs"] == "2"
    assert run.steps[2] == {"epoch/accuracy": 0.9, "epoch/loss": 0.3}
    assert run.summary["accuracy"] == 0.9


def test_wandb_that_is_not_installed_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'growsearch\[wandb\]'"),
        followed(recorder(tmp_path), ["wandb"], "study"),
    ):
        pass


def test_a_study_names_its_trackers_in_one_line_and_may_change_them(tiny, run_folder):
    tiny["search"]["trials"] = 1
    Study(tiny, run_folder).run()
    run = Study({**tiny, "trackers": ["tensorboard"]}, run_folder)
    run.run()
    (name,) = [trial.id for trial in run.trials]
    assert (run_folder / "tensorboard" / name / "written").exists()
    with pytest.raises(UsageError, match="trackers"):
        parse_study({**tiny, "trackers": ["tensorbored"]})
    assert set(TRACKERS) == {"tensorboard", "mlflow", "wandb"}


def test_names_are_plain_for_every_tracker():
    assert plain_name("latency[wafer-cs2]") == "latency.wafer-cs2"
    tracked = Tracked(study="s", trial=trial("a"), history=HISTORY)
    assert dict(tracked.epochs())[1] == {"epoch/accuracy": 0.5, "epoch/loss": 1.5}
    assert tracked.params()["budget.parameters"] == "0.5"
