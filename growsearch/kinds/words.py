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
    """Read a budget: a share, a count, or one of them by what it bounds; unknown forms as text."""
    if isinstance(budget, Mapping):
        return ", ".join(_one_budget(value, str(name)) for name, value in budget.items())
    return _one_budget(budget, "parameters")


def init_words(config: Mapping[str, Any]) -> str:
    """Return ", from weights 1a2b3c" of a network that was trained before, else nothing."""
    init = config.get("init")
    if not isinstance(init, str):
        return ""
    name, _, digest = init.partition("@")
    return f", from {name} {digest[:6]}".rstrip()


def percent(share: Any) -> str | None:
    """Return "83 %", "dense" of none, or None of what is no number."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        return None
    return "dense" if share == 0 else f"{100 * share:.0f} %"


def _one_budget(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    seconds = name.startswith("latency_s[")
    # As in growsearch.growth.Budget: a float is a share of the full network, an integer a count.
    is_share = isinstance(value, float) and value <= 1 and not seconds
    name = name.replace("latency_s[", "latency[")
    shown = f"{100 * value:.0f} %" if is_share else format_quantity(value, name)
    return shown if name == "parameters" else f"{shown} {name}"
