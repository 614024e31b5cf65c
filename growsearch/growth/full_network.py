"""Full network of a search space, every width at its largest, with weights from a seed alone."""

from __future__ import annotations

from torch import nn

from search_spaces import SearchSpace, seeded


def build_full(space: SearchSpace, seed: int) -> nn.Module:
    """Build the full configuration with weights drawn from ``seed`` and nothing else.

    Example:
        >>> from growsearch.growth import build_full
        >>> from search_spaces import search_space
        >>> module = build_full(search_space("mlp-digits"), seed=0)
        >>> module.classifier.in_features
        256
    """
    with seeded(seed):
        return space.build(space.largest())
