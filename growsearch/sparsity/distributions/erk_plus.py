"""ERK+: ERK with a dense classifier, at the same number of weights in all."""

from __future__ import annotations

from growsearch.sparsity.allocation import solve_densities
from growsearch.sparsity.distributions.distribution import SparsityRequest, last_linear
from growsearch.sparsity.distributions.ratios import erk_proportions


def erk_plus(request: SparsityRequest) -> dict[str, float]:
    """Return the densities of Liu et al. 2022 (arXiv 2202.02643, section 3.1).

    Raises:
        UsageError: if there is no fully connected layer, or it alone passes the target.
    """
    floors = {last_linear(request, "erk+").name: 1.0} | request.floors
    target = request.weights * (1.0 - request.sparsity)
    return solve_densities(request.layers, target, erk_proportions(request.layers), floors)
