"""ER (Erdos-Renyi): density in proportion to (n_in + n_out) / (n_in n_out)."""

from __future__ import annotations

import math

from growsearch.sparsity.allocation import solve_densities
from growsearch.sparsity.distributions.distribution import SparsityRequest


def er(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Mocanu et al. 2018 (arXiv 1707.04780, eq. 3), kernels left out.

    n_out and n_in are the first two axes of the weight, those of a transposed convolution the other
    way round; a grouped convolution's n_in is that of one group.
    """
    proportions = {layer.name: sum(layer.fans) / math.prod(layer.fans) for layer in request.layers}
    target = request.weights * (1.0 - request.sparsity)
    return solve_densities(request.layers, target, proportions, request.floors)
