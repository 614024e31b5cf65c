"""Layer-wise sparsity ratios by formula, of the weights' shapes alone: uniform(+), ER, ERK(+)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from growsearch.sparsity.allocation import solve_densities
from growsearch.sparsity.distributions.distribution import SparsityRequest, last_linear

# What the classifier keeps at least under uniform+.
_CLASSIFIER_DENSITY = 0.2


def uniform(request: SparsityRequest) -> dict[str, float]:
    """Return the same density for every layer that is not excluded."""
    return _solve(request, _equal(request), {})


def uniform_plus(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Gale et al. 2019 (arXiv 1902.09574, section 5).

    The first convolution is dense and the classifier keeps at least 20 %; the other layers share
    one density that makes up for the two. A network without convolutions has no dense first layer.

    Raises:
        UsageError: if there is no fully connected layer, or the two need more than the target.
    """
    floors = {last_linear(request, "uniform+").name: _CLASSIFIER_DENSITY}
    for layer in request.layers:
        if not layer.is_linear:
            floors[layer.name] = 1.0
            break
    return _solve(request, _equal(request), floors)


def er(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Mocanu et al. 2018 (arXiv 1707.04780, eq. 3), kernels left out.

    Erdos-Renyi: density in proportion to (n_in + n_out) / (n_in n_out). n_out and n_in are the
    first two axes of the weight, those of a transposed convolution the other way round; a grouped
    convolution's n_in is that of one group.
    """
    proportions = {layer.name: sum(layer.fans) / math.prod(layer.fans) for layer in request.layers}
    return _solve(request, proportions, {})


def erk(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Evci et al. 2020 (arXiv 1911.11134, section 3); linear layers: ER.

    Erdos-Renyi-Kernel: density in proportion to (n_in + n_out + h + w) / (n_in n_out h w).
    """
    return _solve(request, _by_axes(request), {})


def erk_plus(request: SparsityRequest) -> dict[str, float]:
    """Return ERK with a dense classifier, at the same number of weights in all.

    Liu et al. 2022 (arXiv 2202.02643, section 3.1).

    Raises:
        UsageError: if there is no fully connected layer, or it alone passes the target.
    """
    return _solve(request, _by_axes(request), {last_linear(request, "erk+").name: 1.0})


def _equal(request: SparsityRequest) -> dict[str, float]:
    return {layer.name: 1.0 for layer in request.layers}


def _by_axes(request: SparsityRequest) -> dict[str, float]:
    """Return the sum of every weight's axes over their product, by parameter name."""
    return {
        layer.name: (sum(layer.fans) + sum(layer.shape[2:])) / layer.weights
        for layer in request.layers
    }


def _solve(
    request: SparsityRequest, proportions: Mapping[str, float], floors: Mapping[str, float]
) -> dict[str, float]:
    """Return densities in these proportions that give the request's sparsity."""
    target = request.weights * (1.0 - request.sparsity)
    return solve_densities(request.layers, target, proportions, {**floors, **request.floors})
