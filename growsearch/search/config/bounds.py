"""Bounds of a study: read with their units, and refused where no network can meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from growsearch.pareto import Bound, format_bound
from growsearch.pareto.quantities import COUNT, ENERGY, TIME, quantity_of
from growsearch.search.config.units import read_quantity

_FORM = "write {max: VALUE} or {min: VALUE}"


def parse_limits(name: str, limits: Any) -> Any:
    """Return the bounds on one metric in its base unit; other keys than max and min are left.

    Raises:
        ValueError: for what is no mapping of values, or an empty one, which would bound nothing.
    """
    if not isinstance(limits, Mapping) or not limits:
        raise ValueError(f"{name}: {_FORM}")
    return {
        key: read_quantity(value, name) if key in ("max", "min") else value
        for key, value in limits.items()
    }


def parse_quantities(value: Any) -> Any:
    """Return values by metric in their base units.

    Raises:
        ValueError: for a value that is none.
    """
    if not isinstance(value, Mapping):
        return value
    return {name: read_quantity(limit, name) for name, limit in value.items()}


def check_agreement(key: str, bounds: Sequence[Bound]) -> None:
    """Refuse bounds that contradict each other, or that nothing can meet.

    Raises:
        ValueError: naming the metric, both bounds and the remedy; ``key`` begins the message.
    """
    for name in dict.fromkeys(bound.objective for bound in bounds):
        upper = [b for b in bounds if b.objective == name and b.sense == "max"]
        lower = [b for b in bounds if b.objective == name and b.sense == "min"]
        for bound in upper:
            _check_possible(key, bound)
        if not upper or not lower:
            continue
        most, least = min(upper, key=lambda b: b.value), max(lower, key=lambda b: b.value)
        if least.value > most.value:
            raise ValueError(
                f"{key}.{name}: {format_bound(least)} and {format_bound(most)} contradict each "
                "other, so that no network can meet both; change one of them"
            )


def _check_possible(key: str, bound: Bound) -> None:
    quantity = quantity_of(bound.objective)
    nothing = (quantity in (TIME, ENERGY) and bound.value <= 0) or (
        quantity is COUNT and bound.value < 1
    )
    if nothing:
        raise ValueError(
            f"{key}.{bound.objective}: {format_bound(bound)} is met by no network; write a larger "
            "value, with its unit"
        )
