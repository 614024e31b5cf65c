"""Quantities and units of objectives, as a person writes and reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A kind of value: its units as factors to the base unit, and how it is shown.

    ``needs_unit`` refuses text without a unit, where leaving it out would be a guess.
    ``most`` is the largest value that makes sense.
    """

    name: str
    base: str
    units: Mapping[str, float]
    needs_unit: bool = False
    most: float = math.inf


_COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

TIME = Quantity(
    name="a time",
    base="s",
    units={"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9},
    needs_unit=True,
)
ENERGY = Quantity(
    name="an energy",
    base="J",
    units={"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "μJ": 1e-6, "nJ": 1e-9},
    needs_unit=True,
)
COUNT = Quantity(name="a count", base="", units=_COUNTS)
SHARE = Quantity(name="a share between 0 and 1", base="", units={"%": 0.01}, most=1.0)
PLAIN = Quantity(name="a number", base="", units={"%": 0.01, **_COUNTS})

# Looked up by what an objective's name starts or ends with, without its device in brackets.
_BY_PREFIX = {"latency": TIME, "energy": ENERGY}
_BY_SUFFIX = {
    "_s": TIME,
    "macs": COUNT,
    "parameters": COUNT,
    "bytes": COUNT,
    "accuracy": SHARE,
    "sparsity": SHARE,
    "density": SHARE,
    "_share": SHARE,
    "ece": SHARE,
}

_SMALL = {1.0: "", 1e-3: "m", 1e-6: "µ", 1e-9: "n"}
_LARGE = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k", 1.0: ""}

# No number is longer; matching takes squared time of what is.
_LONGEST = 80
_NUMBER = re.compile(r"\s*([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\D*?)\s*")


def quantity_of(objective: str) -> Quantity:
    """Return what kind of value ``objective`` has, such as a time for "latency[cpu]"."""
    name = objective.partition("[")[0]
    for prefix, quantity in _BY_PREFIX.items():
        if name.startswith(prefix):
            return quantity
    for suffix, quantity in _BY_SUFFIX.items():
        if name.endswith(suffix):
            return quantity
    return PLAIN


def parse_quantity(value: str | float, objective: str) -> float:
    """Return ``value`` in the objective's base unit: seconds, joules, pieces or a share.

    Text is a number with a unit: "0.5 ms", "200k", "95%". A number that is no text is taken to be
    in the base unit already.

    Raises:
        UsageError: for anything else; the message lists the valid units.

    Example:
        >>> from growsearch.pareto import parse_quantity
        >>> parse_quantity("200k", "parameters"), parse_quantity("0.5 ms", "latency[cpu]")
        (200000.0, 0.0005)
    """
    quantity = quantity_of(objective)
    if isinstance(value, bool):
        raise UsageError(f"{objective} = {value}: not {quantity.name}")
    number = _number(value, objective, quantity)
    if not math.isfinite(number) or (number < 0 and quantity is not PLAIN):
        raise UsageError(f"{objective} = {value}: {quantity.name} is finite and not below 0")
    if number > quantity.most:
        raise UsageError(
            f"{objective} = {value}: not {quantity.name}; write {number:g}% or {number / 100:g}"
            if number <= 100
            else f"{objective} = {value}: not {quantity.name}"
        )
    return number


def parse_share(value: str | float, name: str) -> float:
    """Return a share in [0, 1] from "10%", "0.1" or 0.1; ``name`` is for the message.

    Raises:
        UsageError: for anything else.

    Example:
        >>> from growsearch.pareto import parse_share
        >>> parse_share("10%", "parameters")
        0.1
    """
    number = _number(value, name, SHARE)
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise UsageError(f"{name} = {value}: not {SHARE.name}; write for example 10% or 0.1")
    return number


def is_share(value: object) -> bool:
    """Tell whether a person wrote ``value`` as a percentage, for keys that also take counts.

    Example:
        >>> from growsearch.pareto import is_share
        >>> is_share("10%"), is_share("200k")
        (True, False)
    """
    return isinstance(value, str) and value.strip().endswith("%")


def _number(value: str | float, objective: str, quantity: Quantity) -> float:
    if isinstance(value, str):
        return _parse_text(value, objective, quantity)
    try:
        return float(value)
    except OverflowError as error:
        raise UsageError(f"{objective}: the number is too large for {quantity.name}") from error
    except TypeError as error:
        raise UsageError(f"{objective} = {repr(value)[:60]}: not {quantity.name}") from error


def _parse_text(text: str, objective: str, quantity: Quantity) -> float:
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    valid = ", ".join(quantity.units)
    if match is None:
        raise UsageError(
            f"{objective} = {text[:_LONGEST]!r}: not a number with a unit; valid units: {valid}"
        )
    number, unit = float(match[1].replace("_", "")), match[2]
    if unit in quantity.units:
        # Dividing by a whole number is exact where multiplying by 0.001 is not: 0.5 ms is 0.0005.
        factor = quantity.units[unit]
        return number * factor if factor >= 1 else number / round(1 / factor)
    if unit:
        raise UsageError(f"{objective} = {text!r}: unknown unit {unit!r}; valid units: {valid}")
    if quantity.needs_unit and number != 0:
        raise UsageError(f"{objective} = {text!r}: add a unit; valid units: {valid}")
    return number


def format_quantity(value: float, objective: str) -> str:
    """Return ``value`` (base unit) for people, with three significant digits and a unit.

    Example:
        >>> from growsearch.pareto import format_quantity
        >>> format_quantity(0.0125, "latency[cpu]"), format_quantity(200_000, "macs")
        ('12.5 ms', '200 k')
    """
    quantity = quantity_of(objective)
    if quantity is SHARE:
        return f"{100 * value:.2f} %"
    if quantity in (TIME, ENERGY):
        return _with_prefix(value, quantity.base)
    if quantity is COUNT:
        return _with_prefix(value, "") if abs(value) >= 10_000 else f"{value:,.0f}"
    return f"{value:.4g}"


def _with_prefix(value: float, unit: str) -> str:
    prefixes = _SMALL if unit else _LARGE
    # 0.9995 would be shown as 1.00: it belongs to the next larger prefix.
    fitting = (factor for factor in prefixes if abs(value) >= factor * 0.9995)
    factor = next(fitting, 1.0 if value == 0 else list(prefixes)[-1])
    return f"{_three_digits(value / factor)} {prefixes[factor]}{unit}".rstrip()


def _three_digits(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
