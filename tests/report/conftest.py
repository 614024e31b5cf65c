"""A realistic run folder, made from a seed without any training, and a browser to look with."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

STUDY = {
    "name": "digits",
    "dataset": "digits",
    "trials": {
        "growth": {
            "space": "resnet-digits",
            "budget": {"parameters": {"low": 0.1, "high": 0.6}},
            "epochs": 20,
        },
        "sparse": {
            "space": "resnet-digits",
            "transform": ["none", "sparse_wide", "sparse_parallel"],
            "sparsity": {"low": 0.5, "high": 0.95},
            "distribution": ["uniform", "erk"],
            "updater": ["static", "rigl"],
            "epochs": 20,
        },
    },
    "objectives": {
        "accuracy": "maximize",
        "latency[cpu]": "minimize",
        "latency[wafer-cs2]": "minimize",
    },
    "constraints": {"parameters": {"max": "36k"}},
    "search": {"sampler": "auto", "trials": 40, "parallel": 2, "seed": 0},
    "select": {"max": {"latency[cpu]": "0.14 ms"}},
    "provenance": {
        "versions": {"growsearch": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        "host": {"cpu": "x86_64", "cores": 2},
        "git_revision": "31d34a6",
        "started": "2025-01-01T12:00:00+00:00",
    },
}
GROUPS = {"stem": 16, "stage1": 16, "stage2": 32, "stage3": 64}
NOTE = "analytic, ratio-calibrated; no such machine was measured"


def make_trial(number: int, draw: random.Random) -> dict:
    growth = number % 3 == 0
    share = draw.uniform(0.08, 0.6) if growth else 1.0
    sparsity = 0.0 if growth else round(draw.uniform(0.5, 0.95), 2)
    widths = {name: max(2, round(full * math.sqrt(share))) for name, full in GROUPS.items()}
    transform = draw.choice(["none", "sparse_wide", "sparse_parallel"])
    config = (
        {"kind": "growth", "space": "resnet-digits", "budget": {"parameters": round(share, 3)}}
        if growth
        else {
            "kind": "sparse",
            "space": "resnet-digits",
            "transform": transform,
            "sparsity": sparsity,
            "distribution": draw.choice(["uniform", "erk"]),
            "updater": draw.choice(["static", "rigl"]),
        }
    )
    layers = make_layers(widths, sparsity, draw)
    macs = sum(layer["effective_macs"] for layer in layers)
    dense = sum(layer["dense_macs"] for layer in layers)
    parameters = sum(layer["nonzero_parameters"] for layer in layers)
    accuracy = 0.988 - 0.09 * math.exp(-macs / 2.5e5) - abs(draw.gauss(0, 0.006))
    accuracy = round(accuracy * 300) / 300
    cpu = 9e-5 + dense * 2.2e-10 * draw.uniform(0.9, 1.3)
    wafer = 4e-8 + macs * 2.5e-13 * draw.uniform(0.95, 1.05)
    noise = draw.uniform(0.005, 0.05)
    metrics = {
        "accuracy": accuracy,
        "test_accuracy": round(accuracy * 300 - draw.choice([0, 1, 2, -1])) / 300,
        "macs": macs,
        "dense_macs": dense,
        "parameters": parameters,
        "dense_parameters": sum(layer["parameters"] for layer in layers),
        "training_macs": macs * 3 * 1197 * 20,
        "latency[cpu]": cpu,
        "latency[wafer-cs2]": wafer,
    }
    latency = {
        "cpu": {
            "method": "measured",
            "low_s": cpu * (1 - noise),
            "median_s": cpu,
            "high_s": cpu * (1 + 1.4 * noise),
            "noise": noise,
            "threads": 1,
            "batch_size": 1,
            "device": "cpu (x86_64)",
        },
        "wafer-cs2": {
            "method": "analytic",
            "latency_s": wafer,
            "low_s": wafer * 0.7,
            "high_s": wafer * 1.4,
            "batch_size": 1,
            "note": NOTE,
        },
    }
    return {
        "id": f"{draw.getrandbits(40):010x}",
        "number": number,
        "kind": config["kind"],
        "status": "finished",
        "config": {**config, "epochs": 20},
        "seed": draw.randrange(2**31),
        "metrics": metrics,
        "latency": latency,
        "network": {
            "format": 1,
            "space": "resnet-digits",
            "choices": widths,
            "input_shape": [1, 8, 8],
            "num_classes": 10,
            "transform": None if growth else {"name": transform, "sparsity": sparsity},
        },
        "network_hash": f"{draw.getrandbits(64):016x}",
        "layers": layers,
        "duration_s": draw.uniform(2, 9),
        "error": None,
    }


def make_layers(widths: dict[str, int], sparsity: float, draw: random.Random) -> list[dict]:
    plan = [("stem", 1, widths["stem"], 8, 3)]
    previous = widths["stem"]
    for stage, side in (("stage1", 8), ("stage2", 4), ("stage3", 2)):
        width = widths[stage]
        plan += [(f"{stage}.0.first", previous, width, side, 3)]
        plan += [(f"{stage}.0.second", width, width, side, 3)]
        previous = width
    plan.append(("classifier", previous, 10, 1, 1))
    layers = []
    for place, (name, into, out, side, kernel) in enumerate(plan):
        weights = into * out * kernel * kernel
        inner = 0 < place < len(plan) - 1
        density = min(1.0, (1 - sparsity) * draw.uniform(0.8, 1.2)) if inner else 1.0
        kept = round(weights * density)
        linear = name == "classifier"
        layers.append(
            {
                "name": f"{name}.conv" if not linear else name,
                "kind": "linear" if linear else "conv",
                "output_shape": [1, out] if linear else [1, out, side, side],
                "dense_macs": weights * side * side,
                "effective_macs": kept * side * side,
                "parameters": weights,
                "nonzero_parameters": kept,
            }
        )
    macs = sum(layer["effective_macs"] for layer in layers)
    for layer in layers:
        share = layer["effective_macs"] / macs
        # The rest of the processor's time lies between layers.
        layer["latency_share"] = {"cpu": round(0.5 * share, 4), "wafer-cs2": round(share, 4)}
    return layers


def fail(trial: dict) -> dict:
    gone = {"metrics": {}, "latency": {}, "layers": [], "network": None, "network_hash": None}
    error = "the loss became nan in epoch 2, step 31; lower the learning rate"
    return {**trial, **gone, "status": "failed", "error": error}


def write_history(folder: Path, trial: dict, draw: random.Random) -> None:
    growth = trial["kind"] == "growth"
    header = ["epoch", "loss", "accuracy", "training_macs", "forward_macs"]
    header += [f"width.{name}" for name in GROUPS] if growth else []
    final = trial["metrics"]["accuracy"]
    rows = []
    for epoch in range(1, 21):
        reached = final * (1 - 0.7 * math.exp(-epoch / 2.5)) + draw.gauss(0, 0.004)
        row = [epoch, 2.3 * math.exp(-epoch / 5), min(1, reached), epoch * 10**9, 10**6]
        if growth:
            row += [
                max(2, round(w * min(1, (0.15 + epoch / 16)))) if e else w
                for e, w in ((epoch < 15, w) for w in trial["network"]["choices"].values())
            ]
        rows.append(row)
    folder.mkdir(parents=True)
    text = "\n".join(",".join(map(str, row)) for row in [header, *rows])
    (folder / "history.csv").write_text(text + "\n")


def make_run(folder: Path, *, count: int = 40, histories: bool = True, study=None) -> Path:
    draw = random.Random(7)
    trials = [make_trial(number, draw) for number in range(count)]
    trials = [fail(t) if t["number"] in (11, 24) else t for t in trials]
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(study or STUDY, sort_keys=False))
    (folder / "trials.jsonl").write_text("".join(json.dumps(t) + "\n" for t in trials))
    for trial in trials:
        if histories and trial["status"] == "finished":
            write_history(folder / "trials" / trial["id"], trial, draw)
    return folder


@pytest.fixture(scope="session")
def study() -> dict:
    return json.loads(json.dumps(STUDY))


@pytest.fixture
def run_maker(tmp_path):
    """Make a run folder: ``run_maker(count=40, study=None)``."""

    def make(**options) -> Path:
        return make_run(tmp_path / f"run{len(list(tmp_path.iterdir()))}", **options)

    return make


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """One run of 40 trials that all tests share: its study and trials stay as they are."""
    return make_run(tmp_path_factory.mktemp("report") / "run")


class Browser:
    """Headless Chromium over its debugging pipe: JSON messages that end in a zero byte."""

    def __init__(self, executable: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def wire() -> None:
            # Chromium listens on descriptor 3 and answers on 4. Move both out of the way first.
            one, two = os.dup2(to_browser, 60), os.dup2(from_browser, 61)
            os.dup2(one, 3)
            os.dup2(two, 4)

        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        self._process = subprocess.Popen(
            [executable, *flags, "about:blank"],
            preexec_fn=wire,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self._session = b"", 0, None
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._count:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]
            self.events.append(reply)

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise RuntimeError("the browser has gone")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, page: Path, fragment: str = "", size: tuple[int, int] = (1280, 900)) -> None:
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        # A change of the fragment alone would not load the page again.
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri() + (f"#{fragment}" if fragment else ""))
        self.evaluate(
            "new Promise(r => document.readyState === 'complete' ? r() "
            ": addEventListener('load', r))"
        )
        self.settle()

    def settle(self) -> None:
        self.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def evaluate(self, expression: str):
        reply = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"])
        return reply["result"].get("value")

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)
        self.settle()

    def problems(self) -> list[str]:
        """Return errors and warnings that the page caused since it was opened."""
        wanted = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event.get("method") in wanted]

    def requests(self) -> list[str]:
        """Return the addresses that the page asked for since it was opened."""
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium on this machine; install it to look at the report page")
    found = Browser(executable, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()
