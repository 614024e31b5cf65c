"""FORCE: SNIP in many small steps, where a weight that was pruned may come back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.sparsity.distributions.distribution import Batch, SparsityRequest
from growsearch.sparsity.distributions.saliency import (
    free_nonzeros,
    free_weights,
    keep_highest,
    loss_gradients,
    masks_of,
    probe,
    ratios_of,
    required_batch,
)
from growsearch.sparsity.layers import prunable_parameters

_STEPS = 60


def force_scores(request: SparsityRequest) -> dict[str, Tensor]:
    """Return |g(pruned) w(dense)| after 59 of 60 steps (de Jorge et al. 2021, arXiv 2006.09081).

    Step t keeps the share k^((t + 1) / 60) of the weights (eq. 8): gradients are those of the
    network as pruned by the step before, weights those of the dense network.

    Raises:
        UsageError: without data, or if the excluded layers alone pass the target.
    """
    batch = required_batch(request, "force")
    kept, total = free_nonzeros(request), free_weights(request)
    masks = {x.name: torch.ones(x.shape, dtype=torch.bool) for x in request.layers}
    twin = probe(request.module, batch)
    dense = {n: w.detach().clone() for n, w in prunable_parameters(twin).items()}
    for step in range(_STEPS - 1):
        scores = _scores(twin, batch, dense, masks)
        share = (kept / total) ** ((step + 1) / _STEPS) if total else 1.0
        masks = keep_highest(request, scores, round(total * share), "force")
    return _scores(twin, batch, dense, masks)


def _scores(
    twin: nn.Module, batch: Batch, dense: dict[str, Tensor], masks: dict[str, Tensor]
) -> dict[str, Tensor]:
    with torch.no_grad():
        for name, weight in prunable_parameters(twin).items():
            weight.copy_(dense[name] * masks[name].to(weight.device))
    gradients = loss_gradients(twin, batch)
    return {name: (gradients[name] * dense[name]).abs() for name in dense}


force_masks = masks_of(force_scores, "force")
force = ratios_of(force_masks)
