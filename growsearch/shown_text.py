"""Text that is safe to show: control codes made visible, and table cells that stay text.

Names, notes and errors of a run folder were written by others: an escape code would reach the
terminal, a mark of writing direction would show another name, a formula would run in a spreadsheet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Control codes (C0, DEL, C1), separators of lines and paragraphs, marks that turn the direction of
# writing or cannot be seen, and halves of a character, which no encoding can write.
_UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
_HIDDEN = re.compile(f"[{_UNSAFE}]")
_HIDDEN_IN_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")
# What a spreadsheet takes for the start of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def shown(text: str) -> str:
    r"""Return ``text`` in one line; what cannot be seen is written as \x1b or \u202e."""
    return _HIDDEN.sub(_visible, text)


def shown_lines(text: str) -> str:
    """Return ``text`` as `shown` does, its line breaks and tabs kept."""
    return _HIDDEN_IN_LINES.sub(_visible, text)


def shown_data(data: Any) -> Any:
    """Return JSON data with every text in it, keys included, as `shown_lines` gives it."""
    if isinstance(data, str):
        return shown_lines(data)
    if isinstance(data, Mapping):
        return {shown_lines(str(key)): shown_data(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [shown_data(value) for value in data]
    return data


def table_cell(value: object) -> object:
    """Return a value for a CSV file: text that a spreadsheet would run begins with an apostrophe.

    Numbers stay numbers; texts have nothing hidden in them.
    """
    if not isinstance(value, str):
        return value
    neutral = "'" + value if value.lstrip(" \u00a0").startswith(_FORMULA) else value
    return shown(neutral)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
