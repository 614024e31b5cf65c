"""Plain data of a study: text, finite numbers, truth, lists and mappings, each inside bounds.

It is checked before anything looks at its meaning, so that no later step meets a number that is
none, a text that cannot be written, or a tree without an end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from growsearch.shown_text import shown

Place = tuple[str | int, ...]

# No study needs more; each is far above what one can mean.
MAX_DEPTH = 32
MAX_TEXT = 4096
MAX_WHOLE = 2**63
MAX_VALUES = 1_000_000
# Of a norm, infinity is a name.
_INFINITE = ("norm",)


class PlainValueError(ValueError):
    """A value that is not plain: where it stands, what it is, the rule and the remedy."""

    def __init__(self, place: Place, rule: str) -> None:
        super().__init__(rule)
        self.place = place


def check_plain(data: Any, *, hidden: bool = False) -> None:
    """Refuse what no study can hold, however it came into ``data``.

    Objects of other types are left to whoever knows what is meant.

    Args:
        data: what was read.
        hidden: let control codes pass in texts, for who makes them visible.

    Raises:
        PlainValueError: for the first such value: whole numbers beyond 2^63, texts with control
            codes or of thousands of characters, keys that are no text, and what is nested too
            deeply or in itself.
    """
    _walk(data, functools.partial(_check_shape, hidden=hidden))


def check_finite(data: Any) -> None:
    """Refuse numbers that are none, in data that `check_plain` has seen.

    Raises:
        PlainValueError: for the first NaN or infinity, but that of a norm.
    """
    _walk(data, _check_finite)


def _walk(data: Any, check: Callable[[Any, Place], None]) -> None:
    left = MAX_VALUES

    def visit(value: Any, place: Place) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise PlainValueError((), f"more than {MAX_VALUES:,} values; write less")
        if len(place) > MAX_DEPTH:
            raise PlainValueError(place[:2], f"nested more than {MAX_DEPTH} deep; write it flatter")
        check(value, place)
        if isinstance(value, Mapping):
            for key, inner in value.items():
                visit(inner, (*place, key))
        elif isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                visit(inner, (*place, index))

    visit(data, ())


def _check_shape(value: Any, place: Place, *, hidden: bool) -> None:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                name = shown(repr(key))[:60]
                raise PlainValueError(place, f"the key {name} is no text; put it in quotes")
            _check_text(key, place, hidden=hidden)
    elif isinstance(value, str | PurePath):
        _check_text(str(value), place, hidden=hidden)
    elif isinstance(value, int) and not -MAX_WHOLE < value < MAX_WHOLE:
        raise PlainValueError(place, "a whole number beyond 2^63; write a smaller one")


def _check_text(text: str, place: Place, *, hidden: bool) -> None:
    if len(text) > MAX_TEXT:
        raise PlainValueError(
            place, f"a text of {len(text):,} characters; at most {MAX_TEXT:,} are read"
        )
    safe = shown(text)
    if safe != text and not hidden:
        raise PlainValueError(
            place, f"'{safe[:60]}' has a control code or half a character in it; take it out"
        )


def _check_finite(value: Any, place: Place) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        key = next((part for part in reversed(place) if isinstance(part, str)), None)
        if key not in _INFINITE or value != math.inf:
            raise PlainValueError(place, f"{value} is no finite number; write one")
