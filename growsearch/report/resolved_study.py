"""Resolved study of a run: read as the foreign file that it may be, its shape checked by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from growsearch.errors import UsageError
from growsearch.pareto import TIES, bounds_by_objective, bounds_from_mapping
from growsearch.pareto.preferences import PREFERENCES
from growsearch.reading import (
    PlainValueError,
    check_finite,
    check_plain,
    parse_yaml,
    read_limited,
    reading,
)
from growsearch.reading.strict_yaml import MAX_BYTES
from growsearch.shown_text import shown

_REMEDY = "restore it from its study"
_TEXTS = ("name", "dataset")
_MAPPINGS = ("trials", "constraints", "search", "select", "profiles", "metrics", "provenance")
_DIRECTIONS = ("minimize", "maximize")


def read_resolved_study(path: Path) -> dict[str, Any]:
    """Return the content of a run's study.yaml.

    Raises:
        UsageError: with file, line, key and remedy where it is not there, is no YAML, or lacks what
            reports and choices are made with.
    """
    file = shown(str(path))
    try:
        with reading(path, _REMEDY):
            text = read_limited(path, MAX_BYTES).decode()
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            folder = shown(str(path.parent))
            raise UsageError(f"{file} is missing; {folder} is not the folder of a run") from error
        raise
    try:
        document = parse_yaml(text, file)
    except UsageError as error:
        raise UsageError(f"{error} ({file} cannot be read; {_REMEDY})") from error
    study = document.data
    if not isinstance(study, dict):
        raise UsageError(f"{file} is no mapping; {_REMEDY}")
    try:
        check_plain(study, hidden=True)
        check_finite(study)
        _check(study)
    except PlainValueError as problem:
        line, key = document.line(problem.place), ".".join(map(str, problem.place))
        place = file if line is None else f"{file}:{line}"
        raise UsageError(f"{place}: {shown(key)}: {problem}; {_REMEDY}") from problem
    except UsageError as error:
        raise UsageError(f"{file}: {error}; {_REMEDY}") from error
    return study


def _check(study: Mapping[str, Any]) -> None:
    for key in _TEXTS:
        if not isinstance(study.get(key), str | None):
            raise PlainValueError((key,), "is no text")
    for key in _MAPPINGS:
        if not isinstance(study.get(key), Mapping | None):
            raise PlainValueError((key,), "is no mapping of keys to values")
    objectives = study.get("objectives")
    if not isinstance(objectives, Mapping) or not objectives:
        raise UsageError("has no objectives")
    for name, how in objectives.items():
        if how not in _DIRECTIONS:
            raise PlainValueError(
                ("objectives", name),
                f"objective {shown(name)} is neither minimize nor maximize",
            )
    bounds_by_objective(study.get("constraints") or {}, "constraints")
    _check_select(study.get("select") or {})


def _check_select(select: Mapping[str, Any]) -> None:
    bounds_from_mapping(select, "select")
    prefer = select.get("prefer", "accuracy")
    if not isinstance(prefer, str) or prefer not in PREFERENCES:
        raise PlainValueError(("select", "prefer"), f"is none of {', '.join(PREFERENCES)}")
    ties = select.get("ties", "auto")
    if not isinstance(ties, str) or ties not in TIES:
        raise PlainValueError(("select", "ties"), f"is none of {', '.join(TIES)}")
    if ties != "auto" and prefer != "accuracy":
        raise PlainValueError(("select", "ties"), f"goes with prefer: accuracy, not with {prefer}")
    weights = select.get("weights") or {}
    if not isinstance(weights, Mapping) or not all(map(_is_weight, weights.values())):
        raise PlainValueError(("select", "weights"), "is no mapping of numbers of at least 0")
    if (select.get("prefer") == "weights") != bool(weights):
        raise PlainValueError(("select",), "weights and prefer: weights go together")
    confidence = select.get("confidence")
    if confidence is not None and not (_is_weight(confidence) and 0 < confidence < 1):
        raise PlainValueError(("select", "confidence"), "is no number between 0 and 1")


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
