"""SET: drop the smallest weights, grow connections at random (arXiv 1707.04780)."""

from __future__ import annotations

from growsearch.sparsity.dynamic.drop_and_grow import DropAndGrow
from growsearch.sparsity.dynamic.updater import random_score
from growsearch.sparsity.patterns import Pattern, Unstructured


def set_updater(
    *, alpha: float = 0.3, until: float = 0.75, pattern: Pattern | None = None
) -> DropAndGrow:
    """Return SET: the weights take their step first, then connections are regrown at random."""
    return DropAndGrow(
        grow=random_score,
        needs_gradients=False,
        replaces_update=False,
        alpha=alpha,
        until=until,
        pattern=pattern or Unstructured(),
    )
