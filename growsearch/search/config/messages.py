"""Messages about a study's mistakes: file and line, key, value, rule and remedy in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from growsearch.kinds.domain import Categorical, Range
from growsearch.kinds.space import written_key
from growsearch.kinds.trial_kinds import kinds_model
from growsearch.reading import Document
from growsearch.search.config.study import StudyConfig
from growsearch.shown_text import shown

Place = tuple[str | int, ...]

_LONGEST = 600
# What a key that may be searched is read as; a person writes neither name.
_FORMS = (Categorical.__name__, Range.__name__)
_WRITE = "write a value, a list of values or {low: ..., high: ...}, or remove the key"
# What pydantic says of a type, and how it is put right in YAML.
_REMEDIES = {
    "string_type": "put it in quotes",
    "path_type": "put it in quotes",
    "model_type": "write keys with values below it",
    "model_attributes_type": "write keys with values below it",
    "dict_type": "write keys with values below it",
    "tuple_type": "write a list, as [a, b]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Says what is wrong with the study of ``source``; lines are known where it was a file."""

    source: str
    document: Document | None = None

    def at(self, place: Place, rule: str) -> str:
        """Return the message about the value at ``place``."""
        key = ".".join(map(str, place))
        return self._start(place) + (f"{shown(key)}: {rule}" if key else rule)

    def first(self, error: ValidationError) -> str:
        """Return the message about the first of a study's mistakes, and how many more there are."""
        problems = list(_without_forms(error.errors(include_url=False)))
        # A key that is misspelt is missing, too: the first is what went wrong.
        problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
        first, *others = map(_say, problems)
        start = self._start(self._named(problems[0]["loc"], first))
        if not others:
            return start + first
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        return f"{start}{first}; also {others[0]}{more}"

    def _start(self, place: Place) -> str:
        line = None if self.document is None else self.document.line(place)
        return f"{self.source}: " if line is None else f"{self.source}:{line}: "

    def _named(self, location: Place, message: str) -> Place:
        """Go on from ``location`` along the keys that the message begins with."""
        rest = message.removeprefix(".".join(map(str, location))).lstrip(".:= ")
        for key in self._keys_below(location):
            if rest.startswith(key):
                return self._named((*location, key), rest)
        return location

    def _keys_below(self, location: Place) -> Iterator[str]:
        lines = {} if self.document is None else self.document.lines
        depth = len(location)
        keys = {str(p[depth]) for p in lines if len(p) > depth and p[:depth] == location}
        yield from sorted(keys, key=len, reverse=True)


def _without_forms(problems: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield mistakes, those that the forms of one key make (a list, a range) as one of the key."""
    told = set()
    for problem in problems:
        form = problem["loc"][-1] if problem["loc"] else ""
        if form not in _FORMS:
            yield dict(problem)
        elif (place := problem["loc"][:-1]) not in told:
            told.add(place)
            empty = "it is empty; " if problem["input"] is None else ""
            yield {**problem, "loc": place, "type": "form", "msg": f"{empty}{_WRITE}"}


def _say(problem: Mapping[str, Any]) -> str:
    key = shown(".".join(str(part) for part in problem["loc"]))
    if problem["type"] == "extra_forbidden":
        valid = _siblings(problem["loc"])
        near = difflib.get_close_matches(str(problem["loc"][-1]), valid, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"{key}: unknown key; {meant}valid here: {', '.join(valid)}"
    if problem["type"] == "missing":
        return f"{key}: is missing; add it"
    rule, value = shown(str(problem["msg"]).removeprefix("Value error, ")), problem["input"]
    inner, _, rest = rule.partition(": ")
    if isinstance(value, Mapping) and inner in value:
        # Of keys that do not go together: the message names the one to change.
        key, rule, value = shown(f"{key}.{inner}" if key else inner), rest, value[inner]
    if problem["type"] in _REMEDIES:
        rule += f"; {_REMEDIES[problem['type']]}"
    if len(rule) > _LONGEST:
        rule = rule[:_LONGEST] + "..."
    return f"{key} = {short(value)}: {rule}" if key else rule


def short(value: Any) -> str:
    """Return a value for a message: its first characters."""
    try:
        text = shown(repr(value))
    except Exception:
        # Whatever a person hands over: the message is about its type then.
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _siblings(location: Place) -> list[str]:
    """Return the valid keys beside the unknown one, found by walking down the models."""
    model: type[BaseModel] | None = StudyConfig
    for part in location[:-1]:
        if model is StudyConfig and part == "trials":
            model = kinds_model()
            continue
        field = model.model_fields.get(str(part)) if model is not None else None
        if field is None:
            # Inside a dictionary of limits, such as constraints.parameters.
            continue
        model = _model_in(field.annotation)
    fields = {} if model is None else model.model_fields
    return [key for name, field in fields.items() if (key := written_key(name, field)) is not None]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
