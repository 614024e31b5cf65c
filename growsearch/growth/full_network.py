"""Full network of a search space, every width at its largest, with weights from a seed alone."""

from __future__ import annotations

from torch import nn

from growsearch.training import InitialWeights
from search_spaces import SearchSpace, seeded


def build_full(space: SearchSpace, seed: int, init: InitialWeights | None = None) -> nn.Module:
    """Build the full configuration with weights drawn from ``seed``, or with those of ``init``.

    Raises:
        UsageError: if ``init`` are not this network's, or cannot be read.

    Example:
        >>> from growsearch.growth import build_full
        >>> from search_spaces import search_space
        >>> module = build_full(search_space("mlp-digits"), seed=0)
        >>> module.classifier.in_features
        256
    """
    with seeded(seed):
        module = space.build(space.largest())
    if init is not None:
        init.load_into(module, space.name.partition("@")[0])
    return module
