"""Strict JSON reader: finite numbers, whole characters and bounded depth, in bounded files."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError, UsageError
from growsearch.reading.boundary import read_limited, reading

MOST_BYTES = 64 * 2**20
MOST_DEPTH = 32
# Above this a float loses whole numbers by the billion, and sums of products leave its range.
_MOST_DIGITS = 40
# Only a text with one of these can hold a number beyond the bounds or half a character; a search in
# bytes costs a tenth of what callbacks for every number would.
_SUSPICIOUS = re.compile(rb"\d{19}|\d[eE]\+?\d{3}|\\u[dD][89a-fA-F]")


def parse_json(content: bytes | str) -> Any:
    """Return plain data.

    Raises:
        ValueError: for text that is no JSON in UTF-8, a number that is not finite or has more than
            40 digits, half a character, or data nested more than 32 deep.
    """
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    try:
        if not _SUSPICIOUS.search(raw):
            return _within_depth(_FAST.decode(raw.decode()))
        data = _STRICT.decode(raw.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_characters(data, 0)
    return data


def read_json(
    path: Path,
    remedy: str,
    *,
    most_bytes: int = MOST_BYTES,
    error: type[GrowsearchError] = UsageError,
) -> Any:
    """Return the data of a JSON file.

    Raises:
        GrowsearchError: ``error`` with file, reason and remedy, whatever is wrong with it.
    """
    with reading(path, remedy, error):
        return parse_json(read_limited(path, most_bytes))


def _within_depth(data: Any) -> Any:
    _check_depth(data, 0)
    return data


def _check_depth(data: Any, depth: int) -> None:
    """Scalars and lists of scalars cost one look each: layers come by the ten thousand."""
    if depth > MOST_DEPTH:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    for inner in data.values() if isinstance(data, dict) else data if type(data) is list else ():
        if type(inner) is dict or type(inner) is list:
            _check_depth(inner, depth + 1)


def _check_characters(data: Any, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    if isinstance(data, str):
        _whole(data)
    elif isinstance(data, dict):
        for key, inner in data.items():
            _whole(key)
            _check_characters(inner, depth + 1)
    elif isinstance(data, list):
        for inner in data:
            _check_characters(inner, depth + 1)


def _whole(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text in it has half a character")


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a finite number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


_FAST = json.JSONDecoder(parse_constant=_refuse)
_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_float, parse_int=_int)
