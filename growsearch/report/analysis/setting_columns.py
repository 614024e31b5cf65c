"""Columns of settings: what the candidates of a run differ in, value by value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from growsearch.shown_text import shown
from growsearch.trial.record import Trial

KIND = "kind"
# More names than these are no choice that a study wrote, but hashes or paths.
_MOST_CATEGORIES = 30
_MOST_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingColumn:
    """One setting over trials: ``values`` are numbers, or places in ``categories``.

    ``values`` are None where a trial has no such setting; ``categories`` are None for numbers.
    """

    name: str
    values: tuple[float | None, ...]
    categories: tuple[str, ...] | None = None


def setting_columns(trials: Sequence[Trial]) -> tuple[SettingColumn, ...]:
    """Return the settings that differ between ``trials``, by name; nested ones as "budget.macs".

    A setting that only differs between kinds of trial says nothing beside the kind, so it is left
    out, as one with more names than a study would write.
    """
    flat = [{**_flat(trial.config), KIND: trial.kind} for trial in trials]
    names = sorted({name for config in flat for name in config})
    columns = []
    for name in names:
        values = [config.get(name) for config in flat]
        by_kind: dict[str, set[Any]] = {}
        for trial, value in zip(trials, values, strict=True):
            by_kind.setdefault("" if name == KIND else trial.kind, set()).add(value)
        if any(len(found) > 1 for found in by_kind.values()):
            column = _column(name, values)
            columns += [column] if column is not None else []
    return tuple(columns)


def _flat(config: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < _MOST_DEPTH:
            found |= _flat(value, f"{name}.", depth + 1)
        elif isinstance(value, bool) or not isinstance(value, int | float | str | None):
            found[name] = json.dumps(value, sort_keys=True)
        else:
            found[name] = value
    return found


def _column(name: str, values: Sequence[Any]) -> SettingColumn | None:
    present = [value for value in values if value is not None]
    if all(isinstance(value, int | float) for value in present):
        numbers = tuple(None if value is None else float(value) for value in values)
        return SettingColumn(name=shown(name), values=numbers)
    categories = sorted({str(value) for value in present})
    if len(categories) > _MOST_CATEGORIES:
        return None
    place = {text: float(index) for index, text in enumerate(categories)}
    codes = tuple(None if value is None else place[str(value)] for value in values)
    return SettingColumn(
        name=shown(name), values=codes, categories=tuple(shown(text) for text in categories)
    )
