"""SNIP: keep the weights whose removal would change the loss most, to first order."""

from __future__ import annotations

from torch import Tensor

from growsearch.sparsity.distributions.distribution import SparsityRequest
from growsearch.sparsity.distributions.saliency import (
    free_nonzeros,
    keep_highest,
    loss_gradients,
    probe,
    ratios_of,
    required_batch,
)
from growsearch.sparsity.layers import prunable_parameters


def snip_masks(request: SparsityRequest) -> dict[str, Tensor]:
    """Keep the highest |g w| over all layers (Lee et al. 2019, arXiv 1810.02340, eq. 6).

    Raises:
        UsageError: without data, or if the excluded layers alone pass the target.
    """
    batch = required_batch(request, "snip")
    twin = probe(request.module)
    gradients = loss_gradients(twin, batch)
    scores = {
        name: (gradients[name] * weight).detach().abs()
        for name, weight in prunable_parameters(twin).items()
    }
    return keep_highest(request, scores, free_nonzeros(request), "snip")


snip = ratios_of(snip_masks)
