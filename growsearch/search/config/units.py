"""Units of a study's bounds: a person writes them, and so does a resolved study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.errors import UsageError
from growsearch.pareto.quantities import parse_quantity, quantity_of


def read_quantity(value: Any, name: str) -> float:
    """Return a bound on ``name`` in its base unit.

    Raises:
        ValueError: for a value that is none, or a time or an energy without its unit.
    """
    quantity = quantity_of(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and quantity.needs_unit and value != 0:
        units = ", ".join(quantity.units)
        raise ValueError(
            f"{name} = {value}: a number without a unit; write for example "
            f"{value:g} {quantity.base} or {1000 * value:g} m{quantity.base} (valid: {units})"
        )
    if not number and not isinstance(value, str):
        raise ValueError(f"{name} = {value!r} is no value; write for example 0.5 ms, 200k or 95%")
    try:
        return parse_quantity(value, name)
    except UsageError as error:
        raise ValueError(str(error)) from error


def written_quantity(value: float, name: str) -> float | str:
    """Return a bound as a study writes it; `read_quantity` gives the same number to the bit."""
    quantity = quantity_of(name)
    return f"{value!r} {quantity.base}" if quantity.needs_unit else value


def with_units(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's resolved settings with the units that earlier versions did not write.

    There a number is in its base unit.
    """
    found = dict(settings)
    constraints, select = found.get("constraints"), found.get("select")
    if isinstance(constraints, Mapping):
        found["constraints"] = {
            name: {sense: _with_unit(value, name) for sense, value in limits.items()}
            if isinstance(limits, Mapping)
            else limits
            for name, limits in constraints.items()
        }
    if isinstance(select, Mapping):
        found["select"] = {
            key: {name: _with_unit(value, name) for name, value in part.items()}
            if key in ("max", "min") and isinstance(part, Mapping)
            else part
            for key, part in select.items()
        }
    return found


def _with_unit(value: Any, name: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return written_quantity(float(value), name) if number and abs(value) < 1e300 else value
