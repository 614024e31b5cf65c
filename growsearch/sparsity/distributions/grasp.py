"""GraSP: keep the weights that the gradient flow needs, to first order."""

from __future__ import annotations

import torch
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

_TEMPERATURE = 200.0


def grasp_masks(request: SparsityRequest) -> dict[str, Tensor]:
    """Remove the highest -w H g over all layers (Wang et al. 2020, arXiv 2002.07376, eq. 8).

    The outputs are divided by a temperature of 200, as in the authors' code.

    Raises:
        UsageError: without data, or if the excluded layers alone pass the target.
    """
    batch = required_batch(request, "grasp")
    twin = probe(request.module)
    weights = prunable_parameters(twin)
    gradients = loss_gradients(twin, batch, temperature=_TEMPERATURE, differentiable=True)
    # H g is the gradient of g^T stop(g).
    flow = torch.stack([(g * g.detach()).sum() for g in gradients.values()]).sum()
    products = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    scores = {
        name: (weight * product).detach()
        for (name, weight), product in zip(weights.items(), products, strict=True)
    }
    return keep_highest(request, scores, free_nonzeros(request), "grasp")


grasp = ratios_of(grasp_masks)
