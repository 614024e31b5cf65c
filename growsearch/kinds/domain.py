"""Domain of a search dimension: a value, a list of options or {low, high}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from growsearch.errors import UsageError

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical:
    """One of several values; a single value leaves nothing to choose."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Any number from ``low`` to ``high``, both included; whole if both are integers."""

    low: int | float
    high: int | float

    @property
    def logarithmic(self) -> bool:
        """Whether the range spans more than a factor of ten, where equal steps are factors."""
        return self.low > 0 and self.high / self.low > 10


Domain = Categorical | Range


def parse_domain(raw: Any, parse: Callable[[Any], Scalar]) -> Domain:
    """Read a scalar, a list (a choice) or {low, high} (a range); ``parse`` reads each value.

    Raises:
        ValueError: for an empty list, other keys than low and high, or low not below high.
    """
    if isinstance(raw, Domain):
        return raw
    if isinstance(raw, Mapping):
        return _parse_range(raw, parse)
    if isinstance(raw, list):
        if not raw:
            raise ValueError("an empty list leaves nothing to choose from; name at least one value")
        values = tuple(parse(value) for value in raw)
        if len(set(values)) < len(values):
            raise ValueError("a value stands twice in the list; remove one")
        return Categorical(values=values)
    return Categorical(values=(parse(raw),))


def _parse_range(raw: Mapping[str, Any], parse: Callable[[Any], Scalar]) -> Range:
    if set(raw) != {"low", "high"}:
        raise ValueError(f"a range has the keys low and high, not {', '.join(map(str, raw))}")
    low, high = parse(raw["low"]), parse(raw["high"])
    if isinstance(low, str | bool) or isinstance(high, str | bool):
        raise ValueError("names and true or false have no range; write a list")
    if type(low) is not type(high):
        raise ValueError("low and high must be both shares (10%, 0.1) or both counts (20k)")
    if low >= high:
        raise ValueError(f"low = {raw['low']} is not below high = {raw['high']}")
    return Range(low=low, high=high)


def domain_to_plain(domain: Domain) -> Any:
    """Return the YAML form that ``parse_domain`` reads."""
    if isinstance(domain, Range):
        return {"low": domain.low, "high": domain.high}
    return list(domain.values) if len(domain.values) > 1 else domain.values[0]


def values_of(domain: Domain) -> tuple[Scalar, ...]:
    """Return the options, or both ends of the range: what must be legal."""
    if isinstance(domain, Range):
        return (domain.low, domain.high)
    return domain.values


def offers(domain: Domain, value: object) -> bool:
    """Tell whether ``value`` is one of the options, or an end of the range."""
    return value in values_of(domain)


def is_only(domain: Domain, value: object) -> bool:
    """Tell whether the domain leaves nothing but ``value``."""
    return values_of(domain) == (value,)


def is_usual(domain: Domain | None, usual: object) -> bool:
    """Tell whether a key is left at its ``usual`` value, which may be None."""
    return usual is None if domain is None else is_only(domain, usual)


def single(key: str, domain: Domain) -> Scalar:
    """Return the only value of a domain.

    Raises:
        UsageError: if there are several.
    """
    if isinstance(domain, Range) or len(domain.values) > 1:
        raise UsageError(f"{key}: a point has one value a key")
    return domain.values[0]


def nearest(domain: Domain, wanted: Any) -> Scalar:
    """Return the wanted value, or the nearest number; else the first option or the upper end."""
    if isinstance(domain, Range):
        if wanted is None:
            return domain.high
        within: Scalar = min(max(wanted, domain.low), domain.high)
        return within
    if wanted in domain.values:
        return next(value for value in domain.values if value == wanted)
    numbers = isinstance(wanted, float) and all(isinstance(v, int | float) for v in domain.values)
    if numbers:
        return min(domain.values, key=lambda value: abs(float(value) - wanted))
    return domain.values[0]
