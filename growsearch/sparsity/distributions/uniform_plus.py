"""Uniform+: uniform, but the first convolution is dense and the classifier keeps at least 20 %."""

from __future__ import annotations

from growsearch.sparsity.allocation import solve_densities
from growsearch.sparsity.distributions.distribution import SparsityRequest, last_linear

_CLASSIFIER_DENSITY = 0.2


def uniform_plus(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Gale et al. 2019 (arXiv 1902.09574, section 5).

    The other layers share one density that makes up for the two. A network without convolutions
    has no dense first layer.

    Raises:
        UsageError: if there is no fully connected layer, or the two need more than the target.
    """
    floors = {last_linear(request, "uniform+").name: _CLASSIFIER_DENSITY}
    for layer in request.layers:
        if not layer.is_linear:
            floors[layer.name] = 1.0
            break
    proportions = {layer.name: 1.0 for layer in request.layers}
    target = request.weights * (1.0 - request.sparsity)
    return solve_densities(request.layers, target, proportions, floors | request.floors)
