"""Numbers of a study: whole ones and others, never made of text, truth or another number."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator

# Generators of numpy take no larger seed.
MAX_SEED = 2**32 - 1
# Up to here a float holds every whole number.
_EXACT = 2**53


def whole(value: Any) -> int:
    """Return a whole number; 1e2 is one, as YAML 1.2 writes it.

    Raises:
        ValueError: for anything else, with the remedy where it was meant as one.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number{_meant(value)}")
    return value


def number(value: Any) -> float:
    """Return a finite number.

    Raises:
        ValueError: for anything else, with the remedy where it was meant as one.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number{_meant(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number; write one")
    return float(value)


def _meant(value: Any) -> str:
    """Return the remedy for a text that looks like a number."""
    plain = value.replace("_", "").replace(",", "").strip() if isinstance(value, str) else ""
    if plain.isascii() and plain.isdigit():
        return f"; write {plain} without quotes and separators"
    return "; write digits, without quotes" if isinstance(value, str) else "; write digits"


Whole = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(number)]
