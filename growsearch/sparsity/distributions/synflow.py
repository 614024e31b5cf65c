"""SynFlow: keep the weights that the most signal passes through, without looking at data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.sparsity.distributions.distribution import SparsityRequest
from growsearch.sparsity.distributions.saliency import (
    free_nonzeros,
    free_weights,
    keep_highest,
    probe,
    ratios_of,
    required_batch,
)
from growsearch.sparsity.layers import prunable_parameters

_STEPS = 100


def synflow_masks(request: SparsityRequest) -> dict[str, Tensor]:
    """Keep the highest synaptic flow in 100 steps (Tanaka et al. 2020, arXiv 2006.05467, alg. 1).

    Scores are |w| dR/d|w| with R the sum of the outputs for an input of ones through the network of
    absolute values, in evaluation mode and double precision. Step t keeps k^(t / 100). Only the
    shape of the batch's first example is read.

    Raises:
        UsageError: without an example, or if the excluded layers alone pass the target.
    """
    example = required_batch(request, "synflow").inputs[:1]
    ones = torch.ones_like(example, dtype=torch.float64)
    kept, total = free_nonzeros(request), free_weights(request)
    twin = _absolute(request.module)
    masks: dict[str, Tensor] = {}
    for step in range(1, _STEPS + 1):
        scores = _flow(twin, ones)
        share = (kept / total) ** (step / _STEPS) if total else 1.0
        count = kept if step == _STEPS else round(total * share)
        masks = keep_highest(request, scores, count, "synflow")
        with torch.no_grad():
            for name, weight in prunable_parameters(twin).items():
                weight.mul_(masks[name])
    return masks


def _absolute(module: nn.Module) -> nn.Module:
    """Return a double precision copy in evaluation mode whose every tensor is absolute."""
    twin = probe(module).double().eval()
    with torch.no_grad():
        for tensor in [*twin.parameters(), *twin.buffers()]:
            if tensor.is_floating_point():
                tensor.abs_()
    return twin


def _flow(twin: nn.Module, ones: Tensor) -> dict[str, Tensor]:
    weights = prunable_parameters(twin)
    total = twin(ones).sum()
    gradients = torch.autograd.grad(total, list(weights.values()), materialize_grads=True)
    return {
        name: (weight * gradient).detach().abs()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }


synflow = ratios_of(synflow_masks)
