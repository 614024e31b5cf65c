"""Words for pruned candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, budget_words, init_words, joined


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "31 % of MACs, pruned by taylor, uniform"; usual values are left out."""
    words = joined(budget_words(config.get("budget")), "pruned")
    if isinstance(config.get("importance"), str):
        words += f" by {config['importance']}"
    allocation = config.get("allocation")
    words += f", {allocation}" if isinstance(allocation, str) and allocation != "knapsack" else ""
    return words + init_words(config)


WORDS = KindWords(title="pruned", describe=_describe)
