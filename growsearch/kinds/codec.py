"""JSON of candidates: a frozen dataclass to the ledger's form and back, by pydantic.

What a version adds to a kind is declared with `added`: it is left out where it is as usual, so
that the candidates of earlier runs keep their lines, ids and seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from growsearch.errors import UsageError

_ADDED, _INLINE = "added", "inline"
T = TypeVar("T")
# Making one takes milliseconds.
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def added(default: T) -> T:
    """Declare a dataclass field that is written only where it is not ``default``."""
    return field(default=default, metadata={_ADDED: True})


def inline() -> Any:
    """Declare a dataclass field whose own fields are written beside those of its owner."""
    return field(metadata={_INLINE: True})


def to_json(config: Any) -> dict[str, Any]:
    """Return plain JSON data of a dataclass, in the order of its fields."""
    written = _adapter(type(config)).dump_python(config, mode="json", by_alias=True)
    return _flat(config, written)


def from_json(cls: type[T], data: Mapping[str, Any]) -> T:
    """Read what `to_json` wrote; keys that are unknown are left to newer versions.

    Raises:
        UsageError: naming the key that is missing or wrong, and its value.
    """
    nested = dict(data)
    for entry in dataclasses.fields(cls):  # type: ignore[arg-type]
        if entry.metadata.get(_INLINE):
            nested[entry.name] = dict(data)
    try:
        read: T = _adapter(cls).validate_python(nested)
        return read
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        rule = problem["msg"]
        if problem["type"] == "literal_error":
            valid = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            rule = f"unknown {problem['input']!r}; valid: {valid}"
        raise UsageError(f"trial config: {key} = {str(problem['input'])[:120]}: {rule}") from error


def usual(cls: type) -> dict[str, Any]:
    """Return the values that `to_json` leaves out, by the key that they would have."""
    found: dict[str, Any] = {}
    hints = get_type_hints(cls, include_extras=True)
    for entry in dataclasses.fields(cls):
        hint = hints[entry.name]
        if entry.metadata.get(_INLINE):
            found |= usual(hint)
        elif entry.metadata.get(_ADDED):
            notes = getattr(hint, "__metadata__", ())
            alias = next((note.alias for note in notes if isinstance(note, FieldInfo)), None)
            found[alias or entry.name] = entry.default
    return found


def _adapter(cls: Any) -> TypeAdapter[Any]:
    found = _ADAPTERS.get(cls)
    if found is None:
        found = _ADAPTERS[cls] = TypeAdapter(cls)
    return found


def _flat(config: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``written`` without what is as usual, inline fields spread out."""
    data: dict[str, Any] = {}
    for entry, (key, value) in zip(dataclasses.fields(config), written.items(), strict=True):
        own = getattr(config, entry.name)
        if entry.metadata.get(_ADDED) and own == entry.default:
            continue
        if entry.metadata.get(_INLINE):
            data |= _flat(own, value)
        elif dataclasses.is_dataclass(own) and isinstance(value, Mapping):
            # Written field by field, and not in a form of its own.
            whole = len(value) == len(dataclasses.fields(own))
            data[key] = _flat(own, value) if whole else value
        else:
            data[key] = value
    return data
