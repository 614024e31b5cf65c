"""Words for sparse candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, init_words, joined, sparse_words

_TITLE = "sparse"


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "83 % sparse, sparse_wide, erk, rigl"."""
    words = [sparse_words(config.get("sparsity"))]
    transform = config.get("transform")
    words += [] if transform in (None, "none") else [str(transform)]
    words += [str(config[key]) for key in ("distribution", "updater") if config.get(key)]
    return (joined(*words) or _TITLE) + init_words(config)


WORDS = KindWords(title=_TITLE, describe=_describe)
