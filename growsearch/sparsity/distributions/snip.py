"""SNIP: keep the weights whose removal would change the loss most, to first order."""

from __future__ import annotations

from torch import Tensor

from growsearch.sparsity.distributions.distribution import SparsityRequest
from growsearch.sparsity.distributions.saliency import (
    loss_gradients,
    masks_of,
    probe,
    ratios_of,
    required_batch,
)
from growsearch.sparsity.layers import prunable_parameters


def snip_scores(request: SparsityRequest) -> dict[str, Tensor]:
    """Return |g w| of every weight (Lee et al. 2019, arXiv 1810.02340, eq. 6).

    Raises:
        UsageError: without data.
    """
    batch = required_batch(request, "snip")
    twin = probe(request.module, batch)
    gradients = loss_gradients(twin, batch)
    return {
        name: (gradients[name] * weight).detach().abs()
        for name, weight in prunable_parameters(twin).items()
    }


snip_masks = masks_of(snip_scores, "snip")
snip = ratios_of(snip_masks)
