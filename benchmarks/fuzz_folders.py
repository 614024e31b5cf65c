"""Hostile folders, each from its seed: runs, trained networks, latency profiles and data.

A sound folder is made once; an input is a copy of it with one to three files changed, in what they
hold or in what they are: a folder, a pipe or a link that leads outside where a file is due.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_studies import STUDY
from fuzz_values import changed_bytes, changed_data
from PIL import Image

from cost_models import trace
from cost_models.counting.operator_call import Operator
from cost_models.profiling.latency_profile import LatencyProfile
from cost_models.profiling.profile_file import profile_to_json
from cost_models.profiling.records import (
    Conditions,
    ProfileRecord,
    TimedNetwork,
    TimedOperator,
)
from growsearch.export.sparse_weights import save
from growsearch.kinds.network import Network
from growsearch.reading import write_yaml

# What a sampler was asked for such a trial.
PARAMS = {
    "kind": "sparse", "sparse.space": "mlp-digits", "sparse.transform": "none",
    "sparse.sparsity": 0.5, "sparse.distribution": "erk", "sparse.updater": "static",
    "sparse.epochs": 1, "sparse.learning_rate": 0.1, "sparse.batch_size": 64,
}  # fmt: skip


def write_sound_run(folder: Path, *, seed: int = 0, trials: int = 5) -> None:
    """Write a run folder as a search leaves it, one network of it with real weights."""
    draw = random.Random(f"run {seed}")
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(
        write_yaml({**STUDY, "provenance": {"versions": {"torch": "2"}, "started": "2025-01-01"}})
    )
    lines = [_trial(number, draw) for number in range(trials)]
    lines[1] |= {"status": "failed", "error": "it failed", "metrics": {}, "latency": {}}
    (folder / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    starts = [
        {"id": t["id"], "number": t["number"], "candidate": t["config"], "params": PARAMS}
        for t in lines
    ]
    (folder / "started.jsonl").write_text("".join(json.dumps(line) + "\n" for line in starts))
    rejected = {"id": "abc", "candidate": lines[0]["config"], "excess": {"macs max": 1.0}}
    (folder / "rejected.jsonl").write_text(json.dumps(rejected) + "\n")
    for line in lines:
        if line["status"] == "finished":
            write_trained(folder / "trials" / line["id"])
            _write_extras(folder / "trials" / line["id"])


def _trial(number: int, draw: random.Random) -> dict[str, Any]:
    macs, cpu = 10_000 + 997 * number, 1e-4 * (1 + number)
    layer = {
        "name": "hidden.0", "kind": "linear", "output_shape": [1, 16], "dense_macs": macs,
        "effective_macs": macs, "parameters": macs, "nonzero_parameters": macs,
        "latency_share": {"cpu": 0.5},
    }  # fmt: skip
    return {
        "id": f"{draw.getrandbits(40):010x}",
        "number": number,
        "kind": "sparse",
        "status": "finished",
        "config": {
            "kind": "sparse", "space": "mlp-digits", "transform": "none", "sparsity": 0.5,
            "distribution": "erk", "updater": "static", "epochs": 1, "batch_size": 64,
            "learning_rate": 0.1, "record": ["spectra"],
        },
        "seed": draw.randrange(2**31),
        "metrics": {
            "accuracy": 0.8 + 0.02 * number, "test_accuracy": 0.8, "macs": macs,
            "parameters": macs, "latency[wafer-cs2]": cpu / 100, "latency[cpu]": cpu,
        },
        "latency": {
            "cpu": {"method": "measured", "low_s": cpu * 0.9, "median_s": cpu, "high_s": cpu * 1.1,
                    "noise": 0.02, "threads": 1, "batch_size": 1, "device": "cpu (x86_64)"},
            "wafer-cs2": {"method": "analytic", "latency_s": cpu / 100, "low_s": cpu / 200,
                          "high_s": cpu / 50, "note": "analytic"},
        },
        "network": NETWORK,
        "network_hash": "0123456789abcdef",
        "layers": [layer],
        "duration_s": 1.5,
        "error": None,
        "rungs": [{"epoch": 1, "values": {"accuracy": 0.5}}],
    }  # fmt: skip


NETWORK: dict[str, Any] = {
    "format": 1,
    "space": "mlp-digits",
    "choices": {"hidden0": 16, "hidden1": 12},
    "input_shape": [1, 8, 8],
    "num_classes": 10,
    "transform": {"name": "sparse_wide", "sparsity": 0.5, "activation": True},
}


def write_trained(folder: Path) -> None:
    """Write architecture.json and weights.safetensors of a small network, half of it zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    state = Network.from_json(NETWORK).build().state_dict()
    masked = {n: t * (torch.rand(t.shape) < 0.5) if t.dim() == 2 else t for n, t in state.items()}
    (folder / "architecture.json").write_text(json.dumps(NETWORK))
    (folder / "weights.safetensors").write_bytes(save(masked))


def _write_extras(folder: Path) -> None:
    rows = ["epoch,loss,accuracy,width.stem", *(f"{e},{2 / e},{0.5},{16}" for e in range(1, 6))]
    (folder / "history.csv").write_text("\n".join(rows) + "\n")
    spectra = [json.dumps({"epoch": e, "mean": {"rank": 3.0}}) for e in range(1, 4)]
    (folder / "spectra.jsonl").write_text("\n".join(spectra) + "\n")
    evaluation = {
        "data": "digits", "split": "test", "examples": 300, "conditions": {},
        "metrics": {"ece": 0.1, "nll": 0.5},
    }  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(evaluation))


def change_folder(folder: Path, draw: random.Random, victim: Path) -> None:
    """Change one to three files of a folder, what they hold or what they are."""
    for _ in range(draw.randint(1, 3)):
        files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
        if not files:
            return
        weights = [_WEIGHTS.get(path.name, 1) for path in files]
        path = draw.choices(files, weights)[0]
        if draw.random() < 0.15:
            _change_kind(path, draw, victim)
        elif path.is_symlink() or not path.is_file():
            continue
        elif path.suffix in (".json", ".jsonl") and draw.random() < 0.8:
            _change_json(path, draw)
        elif path.name == "study.yaml" and draw.random() < 0.6:
            data = {**STUDY, "provenance": {"started": "2025"}}
            path.write_text(_dumped(write_yaml, changed_data(data, draw)), errors="surrogatepass")
        else:
            path.write_bytes(changed_bytes(path.read_bytes(), draw))


# Ledger and study are read by every command.
_WEIGHTS = {"trials.jsonl": 12, "study.yaml": 8, "started.jsonl": 4, "architecture.json": 2}


def _dumped(dump: Callable[[Any], str], data: Any) -> str:
    try:
        return dump(data)
    except (ValueError, TypeError):
        return "name: [\n"


def _change_json(path: Path, draw: random.Random) -> None:
    """Change a value of one of the file's objects; numbers beyond JSON are written all the same."""
    lines = path.read_text(errors="replace").splitlines() or [""]
    at = draw.randrange(len(lines))
    try:
        data = changed_data(
            json.loads("\n".join(lines) if path.suffix == ".json" else lines[at]), draw
        )
    except (ValueError, RecursionError):
        return
    text = json.dumps(data)
    if draw.random() < 0.15:
        number = draw.choice(["1e999", "-1e999", "9" * 5000, "1" + "0" * 400, "NaN", "1e-400"])
        text = re.sub(r"(?<=: )-?\d+(\.\d+)?", number, text, count=draw.randint(1, 3))
    if draw.random() < 0.05:
        text = text[:-1] + ', "id": "twice"}' if text.endswith("}") else text
    new = [text] if path.suffix == ".json" else [*lines[:at], text, *lines[at + 1 :]]
    path.write_text("\n".join(new) + "\n")


def _change_kind(path: Path, draw: random.Random, victim: Path) -> None:
    """Put a folder, a pipe, a link or nothing where a file is due."""
    path.unlink()
    kind = draw.randrange(6)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(victim / "secret.txt")
    elif kind == 3:
        path.symlink_to(path.name)
    elif kind == 4:
        path.write_bytes(b"")


def change_weights(path: Path, draw: random.Random) -> None:
    """Change a safetensors file: its header's length, its JSON, or its bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = content[8 : 8 + length], content[8 + length :]
    kind = draw.randrange(5)
    if kind == 0:
        new = draw.choice([0, 1, 2**31, 2**40, 2**63, length + 1, max(0, length - 1)])
        path.write_bytes(struct.pack("<Q", new) + header + rest)
    elif kind <= 3:
        data = changed_data(json.loads(header), draw, times=draw.randint(1, 2))
        meta = data.get("__metadata__") if isinstance(data, dict) else None
        if kind == 3 and isinstance(meta, dict) and meta:
            key = draw.choice(list(meta))
            forms = json.loads(json.loads(header)["__metadata__"].get(key, "{}") or "{}")
            meta[key] = json.dumps(changed_data(forms, draw))
        new_header = json.dumps(data).encode()
        path.write_bytes(struct.pack("<Q", len(new_header)) + new_header + rest)
    else:
        path.write_bytes(changed_bytes(content, draw))


def write_sound_data(folder: Path, kind: str) -> str:
    """Write data of a kind into ``folder``; return the data set's name."""
    folder.mkdir(parents=True)
    random_state = np.random.default_rng(0)
    if kind == "arrays":
        images = random_state.integers(0, 255, (40, 1, 8, 8), dtype=np.uint8)
        np.savez(folder / "data.npz", inputs=images, labels=np.arange(40) % 2)
        return "arrays"
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / part / name).mkdir(parents=True)
            for place in range(10):
                pixels = random_state.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{place}.png")
    return "image-folder"


def change_data(folder: Path, draw: random.Random, victim: Path) -> None:
    """Change files of a data set's folder, or write arrays that are none."""
    file = folder / "data.npz"
    if file.exists() and draw.random() < 0.7:
        odd: dict[str, Any] = {
            "inputs": draw.choice([
                np.zeros((40, 1, 8, 8), np.float32), np.full((40, 1, 8, 8), np.nan), np.zeros(40),
                np.zeros((0, 1, 8, 8)), np.zeros((40, 8, 8, 3), np.uint8), np.zeros((3, 1, 8, 8)),
                np.zeros((40, 1, 8, 8), complex), np.array(["a"] * 40), np.zeros((40, 1, 1, 10**4)),
            ]),
            "labels": draw.choice([
                np.arange(40) % 2, np.arange(40), np.zeros(40), np.full(40, 10**15), -np.arange(40),
                np.arange(40) * 1000 + 7, np.zeros((40, 2)), np.array([None] * 40),
                np.full(40, np.nan), np.zeros(0, int), np.arange(40) / 2, np.ones(40, bool),
            ]),
        }  # fmt: skip
        if draw.random() < 0.2:
            del odd[draw.choice(list(odd))]
        np.savez(file, **odd, allow_pickle=True)
        return
    change_folder(folder, draw, victim)


def sound_profile() -> str:
    """Return a small latency profile, its times a made-up formula's."""
    seconds = 1e-5
    networks, operators = [], {}
    for number in range(18):
        module = _small(4 + number)
        found = trace(module, (torch.zeros(1, 1, 8, 8),))
        calls: tuple[Operator, ...] = found.operators or ()
        operators |= dict.fromkeys(calls)
        low = seconds * (1 + found.dense_macs / 1e4)
        networks.append(
            TimedNetwork(
                name=f"n{number}", role="calibration" if number < 11 else "validation",
                description={"width": number}, operators=calls, macs=found.dense_macs, low_s=low,
                halves_s=(low, low * 1.01),
            )
        )  # fmt: skip
    timed = tuple(
        TimedOperator(operator=o, low_s=1e-6 + o.macs * 1e-10, halves_s=(1e-6, 1.1e-6))
        for o in operators
    )
    conditions = Conditions(
        device="cpu", batch_size=1, threads=1, clock="process CPU time", seed=0,
        created="2026-01-02", source={"spaces": ["small"]}, host={"processor": "Abacus 9"},
        passes=4, minutes=0.5,
    )  # fmt: skip
    record = ProfileRecord(conditions=conditions, operators=timed, networks=tuple(networks))
    return profile_to_json(LatencyProfile(record))


def _small(width: int) -> torch.nn.Module:
    layers = [torch.nn.Flatten(), torch.nn.Linear(64, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 10)).eval()


def copy_of(sound: Path, place: Path) -> Path:
    """Return a copy of a sound folder at ``place``."""
    shutil.copytree(sound, place, symlinks=True)
    return place
