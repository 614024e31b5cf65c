"""Hostile studies, each from its seed: files spoilt in their text, and mappings from Python.

A sound study has one to three things changed: a value for a hostile one, a number written in
another way, a key taken out or written twice, bytes turned over.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_values import changed_bytes, changed_data, put

from growsearch.reading import write_yaml

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

# What a person may write for a number, and the only one that it may be read as; None is no number.
WRITTEN_NUMBERS: dict[str, float | None] = {
    "010": 10, "08": 8, "0o17": 15, "0x1F": 31, "1e2": 100, "1e-3": 0.001, "1.5e1": 15, "+5": 5,
    ".5": 0.5, "5.": 5, "1E+1": 10, "-3": -3, "0": 0, "1_000": None, "1,000": None, "1:30": None,
    "0b11": None, "0777": 777, "true": None, "yes": None, "on": None, "~": None, "null": None,
    "'5'": 5, '"0.5"': 0.5, ".nan": None, ".NaN": None, ".inf": None, "-.inf": None,
    "1e999": None, "1e-999": None, "99999999999999999999": None, "!!int 5": 5, "!!str 5": 5,
    "!!float 5": 5, "!!bool true": None, "2024-01-01": None, "1/3": None, "½": None, "٣": None,
    "1.5": 1.5, "100%": 1, "four": None, "[4]": 4, "{a: 4}": None,
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
    kind = draw.randrange(9)
    if kind == 0:
        return draw.choice([None, 5, "", [], (), set(), b"x", object(), [1, 2], {1: 2}, {None: 1}])
    data = changed_data(STUDY, draw, times=draw.randint(1, 3))
    if kind == 1 and isinstance(data, dict):
        odd: Any = draw.choice(
            [np.zeros(3), torch.zeros(2), np.float64("nan"), np.int64(3), b"bytes", {1, 2},
             object(), lambda: 3, type, 10**5000, complex(1, 2), range(3), Path("x"), 1 + 1e-16]
        )  # fmt: skip
        put(data, draw, odd)
    if kind == 2 and isinstance(data, dict):
        data["search"] = data
    if kind == 3:
        deep: Any = {}
        for _ in range(draw.choice([40, 2000])):
            deep = {"a": deep} if draw.random() < 0.5 else [deep]
        data = {**STUDY, draw.choice(list(STUDY)): deep}
    return data


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
