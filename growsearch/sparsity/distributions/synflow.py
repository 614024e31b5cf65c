"""SynFlow: keep the weights that the most signal passes through, without looking at data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cost_models.counting.plain_calls import no_checkpointing
from growsearch.errors import UsageError
from growsearch.metrics.placement import SINGLE, beside, device_of
from growsearch.sparsity.distributions.distribution import Batch, SparsityRequest
from growsearch.sparsity.distributions.saliency import (
    free_nonzeros,
    free_weights,
    keep_highest,
    masks_of,
    probe,
    ratios_of,
    required_batch,
)
from growsearch.sparsity.layers import prunable_parameters

_STEPS = 100


def synflow_scores(request: SparsityRequest) -> dict[str, Tensor]:
    """Return synaptic flow after 99 of 100 steps (Tanaka et al. 2020, arXiv 2006.05467, alg. 1).

    Scores are |w| dR/d|w| with R the sum of the outputs for an input of ones through the network of
    absolute values, in evaluation mode and double precision. Step t keeps k^(t / 100). Only the
    shape of the batch's first example is read.

    Raises:
        UsageError: without an example, for one of whole numbers such as tokens, which cannot be
            an input of ones, or if the excluded layers alone pass the target.
    """
    batch = required_batch(request, "synflow")
    ones = _ones(batch.inputs[:1])
    kept, total = free_nonzeros(request), free_weights(request)
    twin = _absolute(request.module, batch)
    for step in range(1, _STEPS):
        share = (kept / total) ** (step / _STEPS) if total else 1.0
        masks = keep_highest(request, _flow(twin, ones), round(total * share), "synflow")
        with torch.no_grad():
            for name, weight in prunable_parameters(twin).items():
                weight.mul_(masks[name])
    return _flow(twin, ones)


def synaptic_flow(module: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Return |w| dR/d|w| of every prunable weight of the module as it is, in one pass.

    R as in `synflow_scores`; only the shape of ``example`` (1, ...) is read. Weights that are 0
    have no flow.

    Raises:
        UsageError: for an example of whole numbers such as tokens.
    """
    return _flow(_absolute(module), _ones(example))


def _ones(example: Tensor) -> Tensor:
    if not example.is_floating_point():
        raise UsageError(
            "distribution: synflow sends an input of ones through the network, which tokens cannot "
            "be; use snip, grasp or force"
        )
    return torch.ones(example.shape, dtype=torch.float64)


def _absolute(module: nn.Module, batch: Batch | None = None) -> nn.Module:
    """Return a double precision copy in evaluation mode whose every tensor is absolute."""
    twin = probe(module, batch)
    if device_of(twin).type in SINGLE:
        twin.cpu()
    twin = twin.double().eval()
    with torch.no_grad():
        for tensor in [*twin.parameters(), *twin.buffers()]:
            if tensor.is_floating_point():
                tensor.abs_()
    return twin


def _flow(twin: nn.Module, ones: Tensor) -> dict[str, Tensor]:
    weights = prunable_parameters(twin)
    with no_checkpointing():
        total = twin(*beside(twin, ones)).sum()
    gradients = torch.autograd.grad(total, list(weights.values()), materialize_grads=True)
    return {
        name: (weight * gradient).detach().abs()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }


synflow_masks = masks_of(synflow_scores, "synflow")
synflow = ratios_of(synflow_masks)
