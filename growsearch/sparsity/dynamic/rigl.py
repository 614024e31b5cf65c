"""RigL: SET with another grow score, the gradient of the masked weights (arXiv 1911.11134)."""

from __future__ import annotations

from growsearch.sparsity.dynamic.drop_and_grow import DropAndGrow
from growsearch.sparsity.dynamic.updater import gradient_magnitude
from growsearch.sparsity.patterns import Pattern, Unstructured


def rigl_updater(
    *, alpha: float = 0.3, until: float = 0.75, pattern: Pattern | None = None
) -> DropAndGrow:
    """Return RigL (algorithm 1): a mask update takes the place of that step's weight update."""
    return DropAndGrow(
        grow=gradient_magnitude,
        needs_gradients=True,
        replaces_update=True,
        alpha=alpha,
        until=until,
        pattern=pattern or Unstructured(),
    )
