"""Hostile inputs, each from its seed: studies, run folders, weights, profiles and data gone wrong.

Sound files are made once; an input is a sound one with one to three things changed: a value for a
hostile one, a key taken out or written twice, bytes turned over, a file for a folder, a pipe or a
link that leads outside.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
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
from growsearch.reading import write_yaml
from growsearch.trial.network import Network
from search_spaces import search_space

# Imported by nobody: whoever runs it has run code of an input.
CANARY = "fuzz_canary"

STUDY: dict[str, Any] = {
    "name": "digits",
    "dataset": "digits",
    "trials": {
        "growth": {
            "space": "mlp-digits",
            "budget": {"parameters": {"low": "10%", "high": "60%"}},
            "epochs": 2,
        },
        "sparse": {
            "space": ["mlp-digits", "resnet-digits"],
            "transform": ["none", "sparse_wide"],
            "sparsity": {"low": 0.5, "high": 0.95},
            "distribution": ["uniform", "erk"],
            "updater": ["static", "rigl"],
            "epochs": {"low": 1, "high": 3},
            "learning_rate": {"low": 0.01, "high": 0.2},
            "batch_size": [32, 64],
        },
        "tickets": {
            "space": "resnet-digits",
            "source": "digits",
            "scheme": ["omp", "imp"],
            "sparsity": 0.9,
            "robustness": "pgd",
            "epsilon": "8/255",
            "norm": "inf",
        },
    },
    "objectives": {"accuracy": "maximize", "latency[wafer-cs2]": "minimize", "macs": "minimize"},
    "constraints": {"parameters": {"max": "200k"}, "latency[wafer-cs2]": {"max": "1 ms"}},
    "search": {
        "sampler": "random",
        "trials": 8,
        "parallel": 1,
        "seed": 3,
        "backend": "serial",
        "time_limit": "30 min",
        "stop_early": {"first": 1, "eta": 3},
        "points_to_evaluate": ["dense", {"kind": "growth", "budget": {"parameters": 0.3}}],
    },
    "select": {"max": {"latency[wafer-cs2]": "0.5 ms"}, "prefer": "knee"},
    "metrics": {"pgd_accuracy": {"steps": 3, "norm": "2"}},
}

# Plain data that no place expects.
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**53 + 1, 2**63, 10**30, 10**39, -(2**64)),
    *(0.5, -0.5, 1e-320, 1e300, float("nan"), float("inf"), float("-inf")),
    *("", " ", "0", "1e3", "nan", "-5%", "200%", "1:30", "yes", "~", "none", "auto", "x" * 5000),
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u202egnp.exe", "a\x00b", "\ud800", "a\nb", "é"),
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "[/bold]",
        "[red]",
        ":smile:",
        "$\\frac{",
        "{0}",
        "%s",
    ),
    *("../../victim", "/etc/passwd", ".", "..", "a/b", "\\\\host\\share", "file:///etc/passwd"),
    *(f"{CANARY}:run", f"{CANARY}:Net", f"{CANARY}:run@0123456789ab", "os:abort", "nobody:there"),
    *("<script>alert(1)</script>", "| a | b |", "`x`", "'; DROP TABLE trials; --"),
    *([], {}, [[]], [None], [1, "a"], {"a": 1}, {"low": 1}, {"low": 2, "high": 1}, [1, 1]),
    *({"low": "a", "high": "b"}, {"max": "1"}, {"__proto__": {}}, ["none"] * 300),
)

# What a person may write for a number, and the only one that it may be read as; None is no number.
WRITTEN_NUMBERS: dict[str, float | None] = {
    "010": 10, "08": 8, "0o17": 15, "0x1F": 31, "1e2": 100, "1e-3": 0.001, "1.5e1": 15, "+5": 5,
    ".5": 0.5, "5.": 5, "1E+1": 10, "-3": -3, "0": 0, "1_000": None, "1,000": None, "1:30": None,
    "0b11": None, "0777": 777, "true": None, "yes": None, "on": None, "~": None, "null": None,
    "'5'": 5, '"0.5"': 0.5, ".nan": None, ".NaN": None, ".inf": None, "-.inf": None,
    "1e999": None, "1e-999": None, "99999999999999999999": None, "!!int 5": 5, "!!str 5": 5,
    "!!float 5": 5, "!!bool true": None, "2024-01-01": None, "1/3": None, "½": None, "٣": None,
    "1.5": 1.5, "100%": 1, "four": None, "[4]": None, "{a: 4}": None,
}  # fmt: skip
# Where a number of a study stands, and how its configuration is asked for it.
NUMBERS: dict[str, tuple[str, ...]] = {
    "trials: 8": ("search", "trials"),
    "parallel: 1": ("search", "parallel"),
    "seed: 3": ("search", "seed"),
    "first: 1": ("search", "stop_early", "first"),
    "eta: 3": ("search", "stop_early", "eta"),
    "steps: 3": ("metrics", "pgd_accuracy", "steps"),
    "sparsity: 0.9": ("trials", "tickets", "sparsity"),
    "epochs: 2": ("trials", "growth", "epochs"),
}

_LINES = (
    "name: again", "? [a, b]\n: c", "<<: {search: {}}", "trials: {}", "&a x: 1", "*a : 1",
    "!!python/object/apply:os.system ['touch executed']", "!!python/name:os.system x",
    "a: &a [*a]", "a: !!binary aGk=", "---", "...", "%YAML 1.1", "- x", "\tx: 1", "x: 'open",
    "x: [1", "x: {a: 1", "x: |\n  text", 'x: "\\ud800"', 'x: "\\e[31m"', 'x: "\\0"', "# text", "",
    "objectives: {accuracy: maximize}", "search: {trials: 2}",
    "constraints: {macs: {min: 9, max: 1}}",
    "constraints: {'latency[wafer-cs2]': {max: 0.001}}", "select: {max: {macs: 1}, min: {macs: 9}}",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of a study that was written in another way, and what it must be read as."""

    place: tuple[str, ...]
    written: str
    value: float | None


def study_text(draw: random.Random) -> tuple[str, Number | None]:
    """Return a study file, and the one number in it that is known, where one was changed."""
    text = write_yaml(STUDY)
    kind = draw.randrange(8)
    if kind < 3:
        old, place = draw.choice(list(NUMBERS.items()))
        written = draw.choice(list(WRITTEN_NUMBERS))
        new = f"{old.partition(':')[0]}: {written}"
        changed = re.sub(rf"^(\s*){re.escape(old)}$", rf"\g<1>{new}", text, count=1, flags=re.M)
        return changed, Number(place=place, written=written, value=WRITTEN_NUMBERS[written])
    if kind == 3:
        return write_yaml(changed_data(STUDY, draw)), None
    if kind == 4:
        return _changed_lines(text, draw), None
    if kind == 5:
        return _bomb(draw), None
    if kind == 6:
        return changed_bytes(text.encode(), draw).decode("utf-8", "surrogateescape"), None
    return _tokens(text, draw), None


def study_mapping(draw: random.Random) -> Any:
    """Return what somebody may hand to `Study` from Python."""
    kind = draw.randrange(6)
    if kind == 0:
        return draw.choice([None, 5, "", [], (), set(), b"x", object(), [1, 2], {1: 2}, {None: 1}])
    data = changed_data(STUDY, draw, times=draw.randint(1, 3))
    if kind == 1 and isinstance(data, dict):
        odd: Any = draw.choice(
            [np.zeros(3), torch.zeros(2), np.float64("nan"), np.int64(3), b"bytes", {1, 2},
             object(), lambda: 3, type, 10**5000, complex(1, 2), range(3), Path("x"), 1 + 1e-16]
        )  # fmt: skip
        _put(data, draw, odd)
    if kind == 2 and isinstance(data, dict):
        data["search"] = data
    if kind == 3:
        deep: Any = {}
        for _ in range(draw.choice([40, 2000])):
            deep = {"a": deep} if draw.random() < 0.5 else [deep]
        data = {**STUDY, draw.choice(list(STUDY)): deep}
    return data


def changed_data(data: Any, draw: random.Random, *, times: int = 1) -> Any:
    """Return a copy of plain data in which ``times`` places hold something hostile."""
    found = json.loads(json.dumps(data))
    for _ in range(times):
        _put(found, draw, draw.choice(HOSTILE))
    return found


def _put(data: Any, draw: random.Random, value: Any) -> None:
    """Put ``value`` somewhere into ``data``, or take a key out."""
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        if not keys:
            return
        key = draw.choice(keys)
        inner = data[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.3:
            break
        data = inner
    chance = draw.random()
    if chance < 0.15:
        del data[key]
    elif chance < 0.3 and isinstance(data, dict):
        data[str(draw.choice(HOSTILE))] = inner
    else:
        data[key] = value


def changed_bytes(content: bytes, draw: random.Random) -> bytes:
    """Return ``content`` with bytes turned over, cut off, doubled or put in."""
    for _ in range(draw.randint(1, 3)):
        if not content:
            return content
        at = draw.randrange(len(content))
        end = min(len(content), at + draw.choice([1, 4, 64, 1024]))
        before, piece, after = content[:at], content[at:end], content[end:]
        turned = bytes([piece[0] ^ (1 << draw.randrange(8))]) + piece[1:]
        middles = (turned, None, b"", piece * 2, draw.choice(_SPLICES) + piece, bytes(len(piece)))
        middle = draw.choice(middles)
        content = before if middle is None else before + middle + after
    return content


_SPLICES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[2J", b"\n", b"1e999", b"NaN",
    b"9" * 5000, b"[" * 2000, b'{"a":' * 2000, b"null", b'"', b"}", b"]", b"\\ud800", b"\r\n",
)  # fmt: skip


def _changed_lines(text: str, draw: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(lines))
        chance = draw.randrange(4)
        if chance == 0:
            lines.insert(at, lines[at])
        elif chance == 1:
            del lines[at]
        elif chance == 2:
            lines.insert(at, draw.choice(_LINES))
        else:
            indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
            lines[at] = indent + draw.choice(_LINES)
    return "\n".join(lines) + "\n"


def _tokens(text: str, draw: random.Random) -> str:
    """Write something else behind a colon."""
    lines = text.splitlines()
    values = [i for i, line in enumerate(lines) if ": " in line]
    for _ in range(draw.randint(1, 2)):
        at = draw.choice(values)
        key = lines[at].partition(": ")[0]
        lines[at] = f"{key}: {draw.choice([*WRITTEN_NUMBERS, *_LINES])}"
    return "\n".join(lines) + "\n"


def _bomb(draw: random.Random) -> str:
    kind = draw.randrange(4)
    if kind == 0:
        rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        return "\n".join(rows) + "\n"
    if kind == 1:
        return "name: " + draw.choice(["[", "{a: "]) * draw.choice([100, 5000])
    if kind == 2:
        return "\n".join(f"{' ' * i}a:" for i in range(draw.choice([100, 800])))
    return "name: &a {x: " + "*a}" if draw.random() < 0.5 else "name: " + "1" * 100_000


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


assert search_space("mlp-digits")
