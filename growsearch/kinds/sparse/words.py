"""Words for sparse candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, init_words, percent

_TITLE = "sparse"


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "sparse_wide 83 % erk rigl"."""
    transform = config.get("transform")
    words = [] if transform in (None, "none") else [str(transform)]
    words += filter(None, [percent(config.get("sparsity"))])
    words += [str(config[key]) for key in ("distribution", "updater") if config.get(key)]
    return (" ".join(words) or _TITLE) + init_words(config)


WORDS = KindWords(title=_TITLE, describe=_describe)
