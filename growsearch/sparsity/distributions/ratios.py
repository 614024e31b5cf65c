"""ERK (Erdos-Renyi-Kernel): density in proportion to (n_in + n_out + h + w) / (n_in n_out h w)."""

from __future__ import annotations

from growsearch.sparsity.allocation import solve_densities
from growsearch.sparsity.distributions.distribution import SparsityRequest
from growsearch.sparsity.layers import PrunableLayer


def erk_proportions(layers: tuple[PrunableLayer, ...]) -> dict[str, float]:
    """Return the sum of every weight's axes over their product, by parameter name."""
    return {layer.name: sum(layer.shape) / layer.weights for layer in layers}


def erk(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Evci et al. 2020 (arXiv 1911.11134, section 3); linear layers: ER."""
    target = request.weights * (1.0 - request.sparsity)
    proportions = erk_proportions(request.layers)
    return solve_densities(request.layers, target, proportions, request.floors)
