"""Words for pruned candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, budget_words, init_words


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "pruned to 31 % macs by taylor, uniform"; usual values are left out."""
    budget = budget_words(config.get("budget"))
    words = f"pruned to {budget}" if budget else "pruned"
    if isinstance(config.get("importance"), str):
        words += f" by {config['importance']}"
    allocation = config.get("allocation")
    words += f", {allocation}" if isinstance(allocation, str) and allocation != "knapsack" else ""
    return words + init_words(config)


WORDS = KindWords(title="pruned", describe=_describe)
