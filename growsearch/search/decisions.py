"""How does a person write a search dimension? A value, a list of options or {low, high}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One of several values; a single value is no decision at all."""

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


Decision = Options | Range


def parse_decision(raw: Any, parse: Callable[[Any], Scalar]) -> Decision:
    """Read a scalar, a list (a choice) or {low, high} (a range); ``parse`` reads each value.

    Raises:
        ValueError: for an empty list, other keys than low and high, or low not below high.
    """
    if isinstance(raw, Options | Range):
        return raw
    if isinstance(raw, Mapping):
        return _parse_range(raw, parse)
    if isinstance(raw, list):
        if not raw:
            raise ValueError("an empty list leaves nothing to choose from; name at least one value")
        values = tuple(parse(value) for value in raw)
        if len(set(values)) < len(values):
            raise ValueError("a value stands twice in the list; remove one")
        return Options(values=values)
    return Options(values=(parse(raw),))


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


def decision_to_plain(decision: Decision) -> Any:
    """Return the YAML form that ``parse_decision`` reads."""
    if isinstance(decision, Range):
        return {"low": decision.low, "high": decision.high}
    return list(decision.values) if len(decision.values) > 1 else decision.values[0]


def values_of(decision: Decision) -> tuple[Scalar, ...]:
    """Return the options, or both ends of the range: what must be legal."""
    if isinstance(decision, Range):
        return (decision.low, decision.high)
    return decision.values
