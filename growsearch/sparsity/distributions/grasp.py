"""GraSP: keep the weights that the gradient flow needs, to first order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from growsearch.sparsity.distributions.distribution import SparsityRequest
from growsearch.sparsity.distributions.saliency import (
    loss_gradients,
    masks_of,
    probe,
    ratios_of,
    required_batch,
)
from growsearch.sparsity.layers import prunable_parameters

_TEMPERATURE = 200.0


def grasp_scores(request: SparsityRequest) -> dict[str, Tensor]:
    """Return w H g of every weight (Wang et al. 2020, arXiv 2002.07376, eq. 8).

    The outputs are divided by a temperature of 200, as in the authors' code.

    Raises:
        UsageError: without data.
    """
    batch = required_batch(request, "grasp")
    twin = probe(request.module, batch)
    weights = prunable_parameters(twin)
    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        gradients = loss_gradients(twin, batch, temperature=_TEMPERATURE, differentiable=True)
        # H g is the gradient of g^T stop(g).
        flow = torch.stack([(g * g.detach()).sum() for g in gradients.values()]).sum()
        products = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    return {
        name: (weight * product).detach()
        for (name, weight), product in zip(weights.items(), products, strict=True)
    }


grasp_masks = masks_of(grasp_scores, "grasp")
grasp = ratios_of(grasp_masks)
