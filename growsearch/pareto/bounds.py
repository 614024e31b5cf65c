"""Bounds as people write them: "latency[cpu]=0.5ms"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from growsearch.errors import UsageError
from growsearch.pareto.point import Bound, Sense
from growsearch.pareto.quantities import format_quantity, parse_quantity

SENSES: tuple[Sense, ...] = ("max", "min")


def parse_bound(text: str, sense: Sense) -> Bound:
    """Read one ``--max`` or ``--min`` value, such as "macs=200k".

    Raises:
        UsageError: if it is not OBJECTIVE=VALUE, or the value does not fit the objective.

    Example:
        >>> from growsearch.pareto import parse_bound
        >>> parse_bound("latency[cpu]=0.5ms", "max")
        Bound(objective='latency[cpu]', sense='max', value=0.0005)
    """
    objective, equals, value = (part.strip() for part in text.rpartition("="))
    if not equals or not objective or not value:
        raise UsageError(
            f"--{sense} {text!r}: write OBJECTIVE=VALUE, for example 'latency[cpu]=0.5ms'"
        )
    try:
        return Bound(objective=objective, sense=sense, value=parse_quantity(value, objective))
    except UsageError as error:
        raise UsageError(f"--{sense} {error}") from error


def parse_weight(text: str) -> tuple[str, float]:
    """Read one ``--weight`` value, such as "accuracy=2".

    Raises:
        UsageError: if it is not OBJECTIVE=NUMBER.

    Example:
        >>> from growsearch.pareto import parse_weight
        >>> parse_weight("accuracy=2")
        ('accuracy', 2.0)
    """
    objective, equals, value = (part.strip() for part in text.rpartition("="))
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not equals or not objective or not math.isfinite(number):
        raise UsageError(f"--weight {text!r}: write OBJECTIVE=NUMBER, for example accuracy=2")
    return objective, number


def bounds_from_mapping(data: Mapping[str, Any], where: str) -> tuple[Bound, ...]:
    """Read {"max": {objective: value}, "min": {...}}, the form of ``select`` in a study.

    Other keys are the caller's. ``where`` begins every message.

    Raises:
        UsageError: if a value does not fit its objective.

    Example:
        >>> from growsearch.pareto import bounds_from_mapping, format_bound
        >>> limits = {"max": {"macs": "200k"}, "min": {"accuracy": 0.9}}
        >>> [format_bound(bound) for bound in bounds_from_mapping(limits, "select")]
        ['macs <= 200 k', 'accuracy >= 90.00 %']
    """
    found = []
    for sense in SENSES:
        entries = data.get(sense) or {}
        if not isinstance(entries, Mapping):
            raise UsageError(f"{where}.{sense}: a mapping from objectives to values is needed")
        found += [_bound(name, sense, value, where) for name, value in entries.items()]
    return tuple(found)


def bounds_by_objective(data: Mapping[str, Any], where: str) -> tuple[Bound, ...]:
    """Read {objective: {"max": value, "min": value}}, the form of ``constraints`` in a study.

    Raises:
        UsageError: for another key, or a value that does not fit its objective.

    Example:
        >>> from growsearch.pareto import bounds_by_objective
        >>> bounds_by_objective({"parameters": {"max": "200k"}}, "constraints")
        (Bound(objective='parameters', sense='max', value=200000.0),)
    """
    found = []
    for name, limits in data.items():
        if not isinstance(limits, Mapping) or not limits or set(limits) - set(SENSES):
            raise UsageError(f"{where}.{name}: write {{max: VALUE}} or {{min: VALUE}}")
        given = [sense for sense in SENSES if limits.get(sense) is not None]
        found += [_bound(name, sense, limits[sense], where) for sense in given]
    return tuple(found)


def _bound(objective: str, sense: Sense, value: Any, where: str) -> Bound:
    if not isinstance(value, (str, int, float)):
        raise UsageError(f"{where}: {objective} = {value!r} is not a value; write '0.5 ms' or 200k")
    try:
        return Bound(objective=objective, sense=sense, value=parse_quantity(value, objective))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def format_bound(bound: Bound) -> str:
    """Return the bound for people: "latency[cpu] <= 500 µs".

    Example:
        >>> from growsearch.pareto import Bound, format_bound
        >>> format_bound(Bound(objective="latency[cpu]", sense="max", value=0.0005))
        'latency[cpu] <= 500 µs'
    """
    sign = "<=" if bound.sense == "max" else ">="
    return f"{bound.objective} {sign} {format_quantity(bound.value, bound.objective)}"
