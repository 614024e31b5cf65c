"""Strict YAML 1.2 reader: nothing is guessed, dropped or expanded; every value keeps its line.

Scalars are those of the core schema (YAML 1.2.2, 10.3.2): 010 is ten, 1:30, yes and 2024-01-01 are
text, 1e3 is a number. The syntax below is PyYAML's, whose events are read one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from growsearch.errors import UsageError
from growsearch.reading.boundary import reading
from growsearch.shown_text import shown

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32
# What aliases may add to the values that are written.
MAX_REPEATED = 10_000

Place = tuple[str | int, ...]
_REMEDY = "correct it there, or put text in quotes"
_CORE = "tag:yaml.org,2002:"
_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEXADECIMAL = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_MAX_DIGITS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file holds, and the line, from 1, on which each of its values stands."""

    data: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int | None:
        """Return the line of a value, or of the nearest above it that was written."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)


def parse_yaml(text: str, source: str) -> Document:
    """Return the one document in ``text``.

    Args:
        text: YAML 1.2 of at most 4 MiB.
        source: begins every message, such as the file's name.

    Raises:
        UsageError: with line, reason and remedy for text that is no YAML, a key that stands twice
            or is no text, a tag, merge key or alias that would build something, or a number that
            cannot be kept.
    """
    if len(text) > MAX_BYTES:
        raise UsageError(f"{source}: larger than {MAX_BYTES // 2**20} MiB; write a shorter one")
    with reading(source, _REMEDY):
        try:
            return _Reader(text, source).document()
        except yaml.YAMLError as error:
            raise UsageError(f"{source}: not YAML: {_problem(error)}") from error


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        found = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    else:
        found = next(iter(str(error).splitlines()), "it has no form")
    return f"{shown(found)}; {_REMEDY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Anchored:
    value: Any
    size: int
    depth: int


class _Reader:
    """Builds plain data from events, never deeper and never more than is written."""

    def __init__(self, text: str, source: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._source = source
        self._lines: dict[Place, int] = {}
        self._anchors: dict[str, _Anchored] = {}
        self._open: set[str] = set()
        self._values = self._repeated = 0

    def document(self) -> Document:
        """Read the stream to its end."""
        data = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                self._check_version(event)
                if documents > 1:
                    raise self._wrong(event, "a second document begins (---); keep one in a file")
                data = self._value(next(self._events), ())
        return Document(data=data, lines=self._lines)

    def _check_version(self, event: yaml.DocumentStartEvent) -> None:
        if event.version is not None and tuple(event.version) != (1, 2):
            found = ".".join(map(str, event.version))
            raise self._wrong(event, f"%YAML {found}: files are read as YAML 1.2; take it out")

    def _value(self, event: yaml.Event, place: Place) -> Any:
        self._lines.setdefault(place, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        if len(place) > MAX_DEPTH:
            raise self._wrong(event, f"nested more than {MAX_DEPTH} deep; write it flatter")
        before, anchor = self._values, getattr(event, "anchor", None)
        self._values += 1
        if anchor is not None:
            self._open.add(anchor)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, place)
        else:
            value = self._mapping(event, place)
        if anchor is not None:
            self._open.discard(anchor)
            size = self._values - before
            self._anchors[anchor] = _Anchored(value=value, size=size, depth=_depth(value))
        return value

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Any:
        if event.anchor in self._open:
            raise self._wrong(event, f"*{event.anchor} holds itself; write it out")
        if event.anchor not in self._anchors:
            raise self._wrong(event, f"*{event.anchor} has no &{event.anchor} before it; add it")
        found = self._anchors[event.anchor]
        self._values += found.size
        self._repeated += found.size
        if self._repeated > MAX_REPEATED:
            raise self._wrong(
                event, f"aliases make more than {MAX_REPEATED:,} values of it; write them out"
            )
        if len(place) + found.depth > MAX_DEPTH:
            raise self._wrong(event, f"nested more than {MAX_DEPTH} deep; write it flatter")
        return found.value

    def _sequence(self, event: yaml.SequenceStartEvent, place: Place) -> list[Any]:
        self._check_tag(event, ("seq",))
        found: list[Any] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(inner, (*place, len(found))))
        return found

    def _mapping(self, event: yaml.Event, place: Place) -> dict[str, Any]:
        if not isinstance(event, yaml.MappingStartEvent):
            raise self._wrong(event, "a value is due; add one")
        self._check_tag(event, ("map",))
        found: dict[str, Any] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._key(inner, place)
            here = (*place, key)
            if key in found:
                name = ".".join(map(str, here))
                raise self._wrong(
                    inner,
                    f"{shown(name)} stands twice, first in line {self._lines[here]}; only one can "
                    "count: take one out or rename it",
                )
            self._lines[here] = _line(inner)
            found[key] = self._value(next(self._events), here)
        return found

    def _key(self, event: yaml.Event, place: Place) -> str:
        if isinstance(event, yaml.AliasEvent):
            raise self._wrong(event, f"*{event.anchor} as a key; write the key out")
        if not isinstance(event, yaml.ScalarEvent):
            raise self._wrong(event, "a key is no text but a list or a mapping; write text")
        plain = event.style is None
        if plain and event.value == "<<":
            raise self._wrong(
                event, "<< (a merge key) is no YAML 1.2; write the keys out, or use an alias"
            )
        key = self._scalar(event)
        if not isinstance(key, str):
            where = f" in {shown('.'.join(map(str, place)))}" if place else ""
            raise self._wrong(
                event, f"the key {shown(event.value)[:60]}{where} is no text; put it in quotes"
            )
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        kinds = ("str", "int", "float", "bool", "null")
        tag = self._check_tag(event, kinds)
        plain = event.style is None
        if tag == "str" or event.tag == "!" or (tag is None and not plain):
            return event.value
        value = self._resolved(event)
        if tag is None:
            return value
        if tag == "float" and type(value) is int:
            return float(value)
        names = {"int": int, "float": float, "bool": bool, "null": type(None)}
        if type(value) is not names[tag]:
            raise self._wrong(event, f"!!{tag} {shown(event.value)[:60]} is none; take the tag out")
        return value

    def _check_tag(self, event: Any, kinds: tuple[str, ...]) -> str | None:
        """Return the kind of an explicit tag of the core schema, None without one."""
        if event.tag is None or event.tag == "!":
            return None
        kind = event.tag.removeprefix(_CORE)
        if kind not in kinds:
            raise self._wrong(
                event, f"not YAML of plain data: the tag {shown(kind)[:60]}; take it out"
            )
        return str(kind)

    def _resolved(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text):
            return True
        if _FALSE.fullmatch(text):
            return False
        if _INFINITY.fullmatch(text):
            return float(text.replace(".", "").lower())
        if _NAN.fullmatch(text):
            return float("nan")
        return self._number(event)

    def _number(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
            if pattern.fullmatch(text):
                if len(text) > _MAX_DIGITS:
                    raise self._wrong(
                        event, f"a number of {len(text):,} digits; write a smaller one"
                    )
                return int(text, base) if base == 10 else int(text[2:], base)
        if not _FLOAT.fullmatch(text):
            return text
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise self._wrong(event, f"{text[:60]} is too large a number; write a smaller one")
        if number == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
            raise self._wrong(event, f"{text[:60]} is so small that 0 would be read; write 0")
        return number

    def _wrong(self, event: yaml.Event, rule: str) -> UsageError:
        return UsageError(f"{self._source}:{_line(event)}: {rule}")


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((1 + _depth(each) for each in inner), default=0)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would read as anything but text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write every value out: no alias, which a reader may refuse."""
        return True


_STARTS = list("-+.0123456789")
_Dumper.add_implicit_resolver(_CORE + "int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+)$"), _STARTS)
_Dumper.add_implicit_resolver(_CORE + "float", re.compile(f"^{_FLOAT.pattern}$"), _STARTS)


def write_yaml(data: Mapping[str, Any], *, width: int = 80) -> str:
    """Return ``data`` as YAML that `parse_yaml` reads back, keys in their order."""
    text: str = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width
    )
    return text
