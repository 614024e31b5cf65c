"""What did the benchmarks find? Tables in Markdown, made from the files in results/ alone.

    python benchmarks/tables.py

The documentation shows this page; no figure in it is copied by hand.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
# Timings that a latency model is fitted to: data, not a result.
_DATA_FORMAT = "growsearch latency profile"
_MAX_ROWS = 60
_MAX_NUMBERS = 6


def markdown(results: Path = RESULTS) -> str:
    """Return one page: a section a file, with what its script asks and every table in it."""
    parts = ["# Benchmarks", _INTRODUCTION]
    for path in sorted(results.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("format") == _DATA_FORMAT:
            continue
        parts.append(f"## {path.stem.replace('_', ' ')}")
        script = script_of(path.stem)
        if script is not None:
            parts.append(f"{question(script)} (`benchmarks/{script.name}`)")
        parts.extend(blocks(data))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = (
    "Made by `benchmarks/tables.py` from the files in `benchmarks/results`. Ratios travel between "
    "machines, seconds do not: each file names the machine and the settings that it ran with."
)


def script_of(stem: str) -> Path | None:
    """Return the script whose name the file's begins with, the longest if there are some."""
    found = [path for path in HERE.glob("*.py") if stem.startswith(path.stem)]
    return max(found, key=lambda path: len(path.stem), default=None)


def question(script: Path) -> str:
    """Return the first line of a script's docstring, what it asks."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.stem
    return text.split("\n", 1)[0]


def blocks(data: Any, title: str = "") -> Iterator[str]:
    """Yield the tables and lines of a file's content, the outer ones first."""
    if isinstance(data, list):
        yield from _list_block(data, title)
        return
    if not isinstance(data, Mapping):
        return
    plain = {key: value for key, value in data.items() if is_plain(value)}
    if title and (plain or data):
        yield f"**{title}**"
    if plain:
        yield ", ".join(f"{key} {shown(value)}" for key, value in plain.items())
    inner = {key: value for key, value in data.items() if key not in plain}
    tables = {k: v for k, v in inner.items() if isinstance(v, Mapping) and _all_plain(v.values())}
    alike = len(tables) > 1 and len({tuple(value) for value in tables.values()}) == 1
    if alike:
        yield table([{"": key, **value} for key, value in tables.items()])
    for key, value in inner.items():
        if alike and key in tables:
            continue
        if key == "runs" and "rows" in inner:
            # Every single run; the rows are what they come to.
            continue
        yield from blocks(value, f"{title}, {key}" if title else key)


def _list_block(data: list[Any], title: str) -> Iterator[str]:
    rows = [flat(row) for row in data if isinstance(row, Mapping)]
    if not rows:
        return
    if title:
        yield f"**{title}**"
    yield table(rows[:_MAX_ROWS])
    if len(rows) > _MAX_ROWS:
        yield f"and {len(rows) - _MAX_ROWS} more rows in the file"


def _all_plain(values: Any) -> bool:
    return all(is_plain(value) for value in values)


def is_plain(value: Any) -> bool:
    """Tell whether a value fits into one cell."""
    if isinstance(value, list):
        return len(value) <= _MAX_NUMBERS and all(
            isinstance(v, (int, float, str)) or (isinstance(v, list) and is_plain(v)) for v in value
        )
    return value is None or isinstance(value, (str, bool, int, float))


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's plain values; those of a mapping inside it by "key.inner"."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if is_plain(value):
            found[key] = value
        elif isinstance(value, Mapping):
            found |= {f"{key}.{k}": v for k, v in value.items() if is_plain(v)}
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table with a column a key, in the order of first mention."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [
        "| " + " | ".join(cell(column.replace("_", " ")) for column in columns) + " |",
        "|" + "---|" * len(columns),
    ]
    lines += [
        "| " + " | ".join(cell(shown(row.get(column, ""))) for column in columns) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return text that stays inside its cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def shown(value: Any) -> str:
    """Return a value for people: four digits, long whole numbers with separators."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " / ".join(shown(each) for each in value)
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(markdown())
