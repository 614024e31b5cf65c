"""Truth of the fuzz benchmark: what was read, held against what is written in the input."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_studies import Number

from growsearch.kinds.trial_kinds import TrialKinds
from growsearch.reading import parse_yaml, write_yaml
from growsearch.report import read_run
from growsearch.search.config.file import parse_study
from growsearch.search.config.study import StudyConfig

# What is found: its kind, and where.
Found = tuple[str, str]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def told(message: str) -> Iterator[Found]:
    if "\n" in message:
        yield "more than a line", message[:80]
    if CONTROL.search(message):
        yield "control code", f"in a message: {message[:80]!r}"


def round_trip(config: StudyConfig) -> Iterator[Found]:
    """Hold a study against what a run folder keeps of it."""
    written = write_yaml(config.to_plain())
    again = parse_study(parse_yaml(written, "resolved").data)
    if again != config:
        yield "changed in silence", "the resolved study is another one"


def number_kept(config: StudyConfig, number: Number) -> Iterator[Found]:
    """Hold a number of a study against the only one that it may be read as."""
    read: Any = config
    for key in number.place:
        read = read[key] if isinstance(read, TrialKinds) else getattr(read, key)
    values = getattr(read, "values", (read,))
    if number.value is None or values != (number.value,):
        yield "changed in silence", f"{number.place} = {number.written} was read as {read}"


def report_is_safe(folder: Path) -> Iterator[Found]:
    """Look for control codes and formulas in what a report wrote."""
    for name in ("report.html", "report.md", "front.csv", "front.tex"):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if CONTROL.search(text):
            yield "control code", f"in {name}"
        if name == "front.csv":
            for cell in (cell for row in csv.reader(io.StringIO(text)) for cell in row):
                if cell.startswith(_FORMULA) and not _is_number(cell):
                    yield "formula", f"in {name}: {cell[:40]!r}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def ledger_kept(folder: Path) -> Iterator[Found]:
    """Hold what is read of a ledger against its lines, as the standard library reads them."""
    run = read_run(folder)
    lines = (folder / "trials.jsonl").read_bytes().split(b"\n") if run.trials else []
    kept: dict[str, Any] = {}
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            data = json.loads(line)
            if isinstance(data, dict) and isinstance(data.get("id"), str):
                kept[data["id"]] = data
    for trial in run.trials:
        line = kept.get(trial.id, {})
        if dict(trial.metrics) != (line.get("metrics") or {}):
            yield "changed in silence", f"metrics of {trial.id}"
        if dict(trial.config) != (line.get("config") or {}):
            yield "changed in silence", f"config of {trial.id}"


def weights_kept(file: Path, state: dict[str, torch.Tensor]) -> Iterator[Found]:
    """Hold plain tensors against the bytes of the file, and sparse ones against their values."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    forms = json.loads((header.pop("__metadata__", None) or {}).get("growsearch.sparse", "{}"))
    for name, about in header.items():
        start, end = about["data_offsets"]
        raw = data[start:end]
        plain = name in state and about["dtype"] == "F32"
        if plain and state[name].numpy().tobytes() != raw:
            yield "changed in silence", f"tensor {name}"
        owner = name.removesuffix(".values")
        if owner in forms and owner != name and about["dtype"] == "F32" and owner in state:
            flat = state[owner].flatten().numpy()
            if list(flat.shape) != [int(np.prod(forms[owner]["shape"]))]:
                yield "changed in silence", f"shape of {owner}"
            given = np.frombuffer(raw, np.float32)
            both = [np.sort(values[values != 0]) for values in (flat, given)]
            if not np.array_equal(*both, equal_nan=True):
                yield "changed in silence", f"values of {owner}"
