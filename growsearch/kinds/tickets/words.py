"""Words for candidates from tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, init_words, joined, sparse_words


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "90 % sparse, row, omp ticket, pgd 0.031"; usual values are left out."""
    row = config.get("granularity")
    parts = [sparse_words(config.get("sparsity")) or ""]
    parts += [str(row)] if row != "unstructured" else []
    parts += [f"{config.get('scheme')} ticket"]
    if config.get("robustness") != "natural":
        epsilon = config.get("epsilon")
        strength = f" {epsilon:.2g}" if isinstance(epsilon, int | float) else ""
        parts.append(f"{config.get('robustness')}{strength}")
    if config.get("mode") != "finetune":
        parts.append(str(config.get("mode")))
    return joined(*parts) + init_words(config)


WORDS = KindWords(title="from tickets", describe=_describe)
