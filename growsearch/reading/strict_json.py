"""Strict JSON reader: finite numbers, whole characters and bounded depth, in bounded files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError, UsageError
from growsearch.reading.boundary import read_limited, reading

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
# Above this a float loses whole numbers by the billion, and sums of products leave its range.
_MAX_DIGITS = 40
_MAX_WHOLE = 10**_MAX_DIGITS


def parse_json(content: bytes | str) -> Any:
    """Return plain data.

    Raises:
        ValueError: for text that is no JSON in UTF-8, a key that stands twice, a number that is not
            finite or has more than 40 digits, half a character, or data nested more than 32 deep.
    """
    text = content if isinstance(content, str) else content.decode()
    try:
        data = _STRICT.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_json(data)
    return data


def read_json(
    path: Path,
    remedy: str,
    *,
    most_bytes: int = MAX_BYTES,
    error: type[GrowsearchError] = UsageError,
) -> Any:
    """Return the data of a JSON file.

    Raises:
        GrowsearchError: ``error`` with file, reason and remedy, whatever is wrong with it.
    """
    with reading(path, remedy, error):
        return parse_json(read_limited(path, most_bytes))


def check_json(data: Any, depth: int = 0) -> None:
    """Refuse what `parse_json` does not let pass, in data that another decoder has read.

    Raises:
        ValueError: for the first such value.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(data, str):
        check_text(data)
    elif isinstance(data, dict):
        for key, inner in data.items():
            check_text(key)
            check_json(inner, depth + 1)
    elif isinstance(data, list):
        for inner in data:
            check_json(inner, depth + 1)
    elif isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{data} is too large a number")
    elif isinstance(data, int) and not -_MAX_WHOLE < data < _MAX_WHOLE:
        raise ValueError(f"a number of more than {_MAX_DIGITS} digits is too large")


def check_text(text: str) -> None:
    """Refuse half a character, which no file can be written with.

    Raises:
        ValueError: if there is one.
    """
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text in it has half a character")


def refuse_constant(name: str) -> float:
    """Refuse NaN and Infinity, which no JSON has; for a decoder's ``parse_constant``."""
    raise ValueError(f"{name} is not a finite number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return found


_STRICT = json.JSONDecoder(
    parse_constant=refuse_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_unique
)
