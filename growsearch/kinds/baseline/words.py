"""Words for baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, budget_words, init_words

_MEANINGS = {
    "mine": "mine, as it is",
    "dense": "dense, trained",
    "uniform": "uniform widths, trained",
}


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "baseline: uniform widths, trained, 50 % of MACs"."""
    which = config.get("which")
    meaning = _MEANINGS.get(which, "") if isinstance(which, str) else ""
    parts = filter(None, [meaning, budget_words(config.get("budget"))])
    trained = "" if which == "mine" else init_words(config)
    return f"baseline: {', '.join(parts)}".rstrip(": ") + trained


WORDS = KindWords(title="baseline", describe=_describe)
