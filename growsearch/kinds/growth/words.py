"""Words for grown candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, budget_words, init_words


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "grown 31 %", or "grown 31 % of a trunk"."""
    trunk = " of a trunk" if config.get("trunk") else ""
    return f"grown {budget_words(config.get('budget'))}".rstrip() + trunk + init_words(config)


WORDS = KindWords(title="grown", describe=_describe)
