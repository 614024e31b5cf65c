"""Uniform: every layer gets the same sparsity."""

from __future__ import annotations

from growsearch.sparsity.allocation import solve_densities
from growsearch.sparsity.distributions.distribution import SparsityRequest


def uniform(request: SparsityRequest) -> dict[str, float]:
    """Return the same density for every layer that is not excluded."""
    proportions = {layer.name: 1.0 for layer in request.layers}
    target = request.weights * (1.0 - request.sparsity)
    return solve_densities(request.layers, target, proportions, request.floors)
