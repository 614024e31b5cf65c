"""JSON Schema of a study, made from the models that check one, for editors.

It knows keys, names and forms; what goes together with what, only reading the study tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from growsearch.kinds import KINDS
from growsearch.kinds.domain import Domain, domain_to_plain
from growsearch.kinds.space import written_key
from growsearch.kinds.trial_kinds import TrialKinds
from growsearch.search.config.study import StudyConfig
from growsearch.search.config.written_values import KEYS_BELOW, Values, values_of_field

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SEARCHED = "; may be searched"
_OWN = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(@.*)?$"
_TEXT_OR_NUMBER = {"type": ["number", "string"]}
_FORMS: Mapping[str, Schema] = {
    "truth": {"type": "boolean"},
    "text": {"type": "string"},
    "path": {"type": "string"},
    "duration": _TEXT_OR_NUMBER,
    "share": _TEXT_OR_NUMBER,
    "share or count": _TEXT_OR_NUMBER,
    "share or name": _TEXT_OR_NUMBER,
    # 8/255, 10% and 1e-3, which YAML 1.1 takes for a text, are numbers as well.
    "number": _TEXT_OR_NUMBER,
    "pattern": {"type": "string"},
}


def study_schema() -> Schema:
    """Return the schema of a study's file.

    Example:
        >>> from growsearch.search.config.schema import study_schema
        >>> study_schema()["properties"]["name"]["type"]
        'string'
    """
    return {"$schema": DRAFT, "title": "A study of growsearch", **_model(StudyConfig)}


def _model(model: type[BaseModel], without: frozenset[str] = frozenset()) -> Schema:
    fields = {
        key: (name, field)
        for name, field in model.model_fields.items()
        if (key := written_key(name, field)) is not None and name not in without
    }
    plain = {key: pair for key, pair in fields.items() if "[" not in key}
    bracketed = {key: pair for key, pair in fields.items() if "[" in key}
    found: Schema = {
        "type": "object",
        "properties": {key: _field(model, *pair) for key, pair in plain.items()},
        "additionalProperties": False,
    }
    if bracketed:
        # latency[DEVICE] stands for any device.
        found["patternProperties"] = {
            rf"^{re.escape(key.partition('[')[0])}\[.+\]$": _field(model, *pair)
            for key, pair in bracketed.items()
        }
    required = [key for key, (_, field) in plain.items() if field.is_required()]
    return {**found, "required": required} if required else found


def _field(model: type[BaseModel], name: str, field: FieldInfo) -> Schema:
    values = values_of_field(model, name)
    found = _values(values, field)
    if field.description:
        found = {**found, "description": " ".join(field.description.split())}
    default = _default(field)
    return found if default is None else {**found, "default": default}


def _values(values: Values, field: FieldInfo) -> Schema:
    if values.model is TrialKinds:
        kinds = {name: _model(kind.space) for name, kind in KINDS.items()}
        return {
            "type": "object",
            "properties": kinds,
            "additionalProperties": False,
            "minProperties": 1,
        }
    if values.model is not None:
        extra = field.json_schema_extra
        unwanted = extra.get("without", ()) if isinstance(extra, Mapping) else ()
        inner = _model(values.model, frozenset(map(str, unwanted)))  # type: ignore[arg-type]
        if values.form == KEYS_BELOW:
            return inner
        return {"type": "object", "additionalProperties": inner}
    return _form(values.form, values.range)


def _form(form: str, told: str) -> Schema:
    """Return the schema of a form in words, such as "whole number; may be searched"."""
    if form.endswith(_SEARCHED):
        return _searched(_form(form.removesuffix(_SEARCHED), told))
    if form.startswith("list: "):
        one = _form(form.removeprefix("list: "), told)
        return {"type": "array", "items": one}
    if form == "name":
        return _name(told)
    if form == "whole number":
        # 1e2 is one in YAML 1.2.
        return {"type": "number"}
    return dict(_FORMS.get(form, {}))


def _name(told: str) -> Schema:
    listed, _, own = told.partition(", or your own")
    names = re.findall(r"`([^`]*)`", listed)
    if not names:
        return {"type": "string"}
    words = {"true": True, "false": False}
    enum: Schema = {"enum": [words.get(name, name) for name in names]}
    return {"anyOf": [enum, {"type": "string", "pattern": _OWN}]} if own else enum


def _searched(one: Schema) -> Schema:
    """Return a value, a list of values to choose from, or a range of numbers."""
    found: list[Schema] = [one, {"type": "array", "items": one, "minItems": 1}]
    kinds = one.get("type")
    if kinds == "number" or (isinstance(kinds, list) and "number" in kinds):
        ends = {"low": one, "high": one}
        found.append(
            {
                "type": "object",
                "properties": ends,
                "required": ["low", "high"],
                "additionalProperties": False,
            }
        )
    return {"anyOf": found}


def _default(field: FieldInfo) -> Any:
    """Return the default as plain data; None is a key left out."""
    if field.is_required() or field.default_factory is not None:
        return None
    value = field.default
    if isinstance(value, Domain):
        return domain_to_plain(value)
    return value if isinstance(value, str | bool | int | float) else None


def keys(schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the paths of all keys of a schema."""
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}{key}"
        yield from keys(inner, f"{path}{key}.")
