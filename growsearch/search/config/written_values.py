"""Values that a key of a study takes, found by asking its validator: form, range and unit."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, RootModel, ValidationError

from growsearch.kinds.domain import Categorical, Range

KEYS_BELOW = "keys below"
# Says why a value is refused, None where it is taken.
Taken = Callable[[Any], str | None]
_SEARCHED = "; may be searched"
# A name that no registry has: its refusal lists those that there are.
_NOBODY = "nobody-has-this-name"
_TINY = 1e-9
_WHOLES = (0, 1, 2, 4, 8, 64, 4096, 2**20, 2**32 - 1, 2**40)
_REALS = (-1.0, 0.0, _TINY, 0.5, 1 - _TINY, 1.0, 1.5, 1e9)


@dataclass(frozen=True, kw_only=True)
class Values:
    """What may stand behind a key, in words; ``model`` is what has the keys below it."""

    form: str
    range: str = ""
    unit: str = ""
    counts: bool = False
    model: type[BaseModel] | None = None


def values_of_field(model: type[BaseModel], name: str) -> Values:
    """Return what a field takes; its ``json_schema_extra`` goes before what is found."""
    field = model.model_fields[name]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if "form" in extra:
        told, unit = (str(extra.get(key, "")) for key in ("range", "unit"))
        return Values(form=str(extra["form"]), range=told, unit=unit)
    text = next((m.pattern for m in field.metadata if getattr(m, "pattern", None)), None)
    if text is not None:
        return Values(form="text", range=f"as `{text}`")
    return _plain(field.annotation, _tester(model, name), asked=_asks(field.metadata))


def _plain(annotation: Any, taken: Taken, *, asked: bool = False) -> Values:
    """Return what a type takes, without None: that is a key left out.

    ``asked`` says that a validator knows more than the type does.
    """
    parts = _alternatives(annotation)
    if len(parts) > 1 and not _is_domain(parts):
        found = [_plain(part, taken, asked=asked) for part in parts]
        return Values(
            form=" or ".join(dict.fromkeys(v.form for v in found)),
            range="; ".join(dict.fromkeys(v.range for v in found if v.range)),
            counts=any(v.counts for v in found),
            unit=next((v.unit for v in found if v.unit), ""),
        )
    if typing.get_origin(parts[0]) is Annotated:
        inner, *metadata = typing.get_args(parts[0])
        return _plain(inner, taken, asked=asked or _asks(metadata))
    simple = None if asked and not _is_mapping(parts[0]) else _by_type(parts[0], taken)
    return simple or _asked(taken, searched=_is_domain(parts))


def _asks(metadata: Iterable[Any]) -> bool:
    return any(hasattr(entry, "func") for entry in metadata)


def _alternatives(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        parts = [p for p in typing.get_args(annotation) if p is not type(None)]
        return [inner for part in parts for inner in _alternatives(part)]
    return [annotation]


def _is_domain(parts: list[Any]) -> bool:
    return set(parts) <= {Categorical, Range}


def _is_mapping(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict


def _by_type(annotation: Any, taken: Taken) -> Values | None:
    """Return what can be told from the type alone."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return Values(form="mapping of kinds", model=annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Values(form=KEYS_BELOW, model=annotation)
    if typing.get_origin(annotation) is Literal:
        names = typing.get_args(annotation)
        return Values(form="name", range=_names(_WORDS.get(name, str(name)) for name in names))
    arguments = typing.get_args(annotation)
    if _is_mapping(annotation):
        inner = _plain(arguments[1], lambda value: taken({_NOBODY: value}))
        form = KEYS_BELOW if inner.model else inner.form
        return Values(form=f"mapping of names: {form}", range=inner.range, model=inner.model)
    if typing.get_origin(annotation) is tuple:
        inner = _plain(arguments[0], lambda value: taken([value]))
        return Values(form=f"list: {inner.form}", range=inner.range, counts=inner.counts)
    plain = {str: "text", Path: "path", bool: "truth"}.get(annotation)
    return None if plain is None else Values(form=plain, range=_TRUTHS if plain == "truth" else "")


_WORDS: dict[Any, str] = {True: "true", False: "false"}
_TRUTHS = "`true`, `false`"


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _asked(taken: Taken, *, searched: bool) -> Values:
    """Return what a validator takes, by what it says of values that are tried."""
    more = _SEARCHED if searched else ""
    listed = _listed(taken)
    if listed is not None:
        return Values(form=f"name{more}", range=listed)
    if taken(True) is None and taken(0.25) is not None:
        return Values(form=f"truth{more}", range=_TRUTHS)
    if taken("10%") is None and taken(_NOBODY) is None:
        return Values(form="share or name", range=_real_bounds(taken), unit="1, or %")
    if taken("1 h") is None and taken(_NOBODY) is not None:
        return Values(form="duration", range="above 0", unit="s (a number), or with s, min, h")
    if taken("2:4") is None and taken("16x16") is None:
        return Values(form=f"pattern{more}", range='`none`, `"N:M"`, `"N:M-t"`, `"HxW"`')
    if taken("20k") is None and taken("10%") is None:
        return Values(form=f"share or count{more}", range="above 0", unit="%, or k, M, G")
    if all(taken(value) is not None for value in (*_WHOLES[:9], *_REALS)):
        return Values(form=f"text{more}", range=_text_range(taken))
    return _number(taken, more)


def _tester(model: type[BaseModel], name: str) -> Taken:
    """Return a function that says why a field refuses a value, None where it is taken."""

    def taken(value: Any) -> str | None:
        try:
            model.model_validate({name: value})
        except ValidationError as error:
            # Keys that are missing beside it are no matter.
            own = [found for found in error.errors() if found["loc"][:1] == (name,)]
            return str(own[0]["msg"]) if own else None
        return None

    return taken


def _listed(taken: Taken) -> str | None:
    refused = taken(_NOBODY) or ""
    found = re.search(r"valid: (.+)$", refused)
    if found is None:
        return None
    names, own, _ = found[1].partition(", or your own as ")
    return _names(names.split(", ")) + (", or your own as `MODULE:ATTRIBUTE`" if own else "")


def _text_range(taken: Taken) -> str:
    return "`MODULE:ATTRIBUTE`" if "MODULE" in (taken(_NOBODY) or "") else ""


def _number(taken: Taken, more: str) -> Values:
    whole = taken(0.5) is not None and taken(1.5) is not None
    share = taken("10%") is None
    unit = "1, or %" if share else "pixel range: 0.03, or 8/255" if taken("8/255") is None else ""
    if whole:
        text = _bounds(*_whole_bounds(taken))
        return Values(form=f"whole number{more}", range=text, counts=True, unit=unit)
    form = "share" if share else "number"
    return Values(form=f"{form}{more}", range=_real_bounds(taken), counts=not share, unit=unit)


def _whole_bounds(taken: Taken) -> tuple[int | None, int | None]:
    """Return the least and the largest whole number that is taken; None where there is no end."""
    good = [value for value in _WHOLES if taken(value) is None]
    below = [value for value in (-1, *_WHOLES) if value < good[0]]
    above = [value for value in _WHOLES if value > good[-1]]
    low = _edge(taken, good[0], below[-1]) if below else None
    return low, _edge(taken, good[-1], above[0]) if above else None


def _edge(taken: Taken, good: int, bad: int) -> int:
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if taken(middle) is None else (good, middle)
    return good


def _bounds(low: int | None, high: int | None) -> str:
    if high is None:
        return "any" if low is None else f"{low:,} or more"
    return f"{low:,} to {high:,}"


def _real_bounds(taken: Taken) -> str:
    good = [value for value in _REALS if taken(value) is None]
    return ", ".join(_real_ends(good)) or "any"


def _real_ends(good: list[float]) -> Iterator[str]:
    least, most = good[0], good[-1]
    if least > -1:
        yield "above 0" if math.isclose(least, _TINY) else f"from {least:g}"
    if most < _REALS[-1]:
        yield "below 1" if most == 1 - _TINY else f"to {most:g}"
