"""Words for candidates: budgets and shares of the ledger, said briefly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from growsearch.pareto import format_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """A kind of trial for people: its title, such as "grown", and candidates in a few words.

    It stands apart from the kind, whose training needs torch: a report does without.
    """

    title: str
    describe: Callable[[Mapping[str, Any]], str]


def budget_words(budget: Any) -> str:
    """Return such as "28 % of parameters", "20.0 k parameters" or "0.5 ms on cpu".

    A number alone is of parameters; several bounds stand one after another, unknown forms as text.
    """
    if isinstance(budget, Mapping):
        return ", ".join(_one_budget(value, str(name)) for name, value in budget.items())
    return _one_budget(budget, "parameters")


def joined(*parts: str | None) -> str:
    """Return the parts that there are with commas between.

    Example:
        >>> from growsearch.kinds.words import joined
        >>> joined("28 % of parameters", None, "grown")
        '28 % of parameters, grown'
    """
    return ", ".join(filter(None, parts))


def sparse_words(share: Any) -> str | None:
    """Return "83 % sparse", "dense" of none, or None of what is no number."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        return None
    return "dense" if share == 0 else f"{100 * share:.0f} % sparse"


def init_words(config: Mapping[str, Any]) -> str:
    """Return ", from weights 1a2b3c" of a network that was trained before, else nothing."""
    init = config.get("init")
    if not isinstance(init, str):
        return ""
    name, _, digest = init.partition("@")
    return f", from {name} {digest[:6]}".rstrip()


def _one_budget(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if name.startswith("latency_s["):
        return f"{format_quantity(value, 'latency')} on {name[10:].rstrip(']')}"
    of = {"macs": "MACs"}.get(name, name)
    # As in growsearch.growth.Budget: a float is a share of the full network, an integer a count.
    if isinstance(value, float) and value <= 1:
        return f"{100 * value:.0f} % of {of}"
    return f"{format_quantity(value, name)} {of}"
