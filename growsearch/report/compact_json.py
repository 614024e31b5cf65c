"""Compact JSON: plain data as text in ASCII without blanks, for a page and its budget."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json


def compact_json(data: Any) -> str:
    """Return ``data`` as JSON; NaN and infinity, which JSON lacks, become null.

    What is no JSON is written as its text.
    """
    try:
        # Several times as fast as Python's own.
        return to_json(data, ensure_ascii=True, inf_nan_mode="null", fallback=str).decode("ascii")
    except PydanticSerializationError:
        # Half a character, as an error message may hold: only Python's own writes it.
        return json.dumps(data, allow_nan=False, separators=(",", ":"), default=str)
