"""Words for grown candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, budget_words, init_words, joined


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "31 % of parameters, grown", or "31 % of parameters, grown from a trunk"."""
    how = "grown from a trunk" if config.get("trunk") else "grown"
    return joined(budget_words(config.get("budget")), how) + init_words(config)


WORDS = KindWords(title="grown", describe=_describe)
