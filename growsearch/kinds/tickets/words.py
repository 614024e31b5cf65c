"""Words for candidates from tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growsearch.kinds.words import KindWords, init_words, percent


def _describe(config: Mapping[str, Any]) -> str:
    """Return such as "omp ticket 90 % row, pgd 0.031, linear"; usual values are left out."""
    words = [f"{config.get('scheme')} ticket"]
    words += filter(None, [percent(config.get("sparsity"))])
    if config.get("granularity") != "unstructured":
        words.append(str(config.get("granularity")))
    parts = [" ".join(words)]
    if config.get("robustness") != "natural":
        epsilon = config.get("epsilon")
        strength = f" {epsilon:.2g}" if isinstance(epsilon, int | float) else ""
        parts.append(f"{config.get('robustness')}{strength}")
    if config.get("mode") != "finetune":
        parts.append(str(config.get("mode")))
    return ", ".join(parts) + init_words(config)


WORDS = KindWords(title="from tickets", describe=_describe)
