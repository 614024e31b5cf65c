"""Saliency pruning: scores, one ranking of weights over all layers, exact counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cost_models.counting.plain_calls import no_checkpointing
from growsearch.errors import UsageError
from growsearch.metrics.placement import beside, device_of
from growsearch.sparsity.distributions.distribution import Batch, Distribution, SparsityRequest
from growsearch.sparsity.layers import prunable_parameters
from growsearch.sparsity.patterns import highest
from search_spaces.own_networks.whole_networks import copied

Saliency = Callable[[SparsityRequest], dict[str, Tensor]]
"""Returns the mask of every prunable layer; excluded layers are dense, the sum is as asked."""

SaliencyScores = Callable[[SparsityRequest], dict[str, Tensor]]
"""Returns every prunable weight's score; the highest over all layers together are kept."""


def masks_of(scores: SaliencyScores, method: str) -> Saliency:
    """Return the saliency that keeps the highest of ``scores``."""

    def masks(request: SparsityRequest) -> dict[str, Tensor]:
        return keep_highest(request, scores(request), free_nonzeros(request), method)

    return masks


def ratios_of(saliency: Saliency) -> Distribution:
    """Return the distribution with a saliency's layer-wise ratios and none of its positions."""

    def ratios(request: SparsityRequest) -> dict[str, float]:
        masks = saliency(request)
        return {name: int(mask.sum()) / mask.numel() for name, mask in masks.items()}

    return ratios


def required_batch(request: SparsityRequest, method: str) -> Batch:
    """Return the request's data.

    Raises:
        UsageError: if there is none.
    """
    if request.batch is None:
        raise UsageError(f"distribution: {method} needs data; give batch=Batch(inputs=, labels=)")
    return request.batch


def probe(module: nn.Module, batch: Batch | None = None) -> nn.Module:
    """Return a copy in training mode without dropout, whose gradients and statistics are its own.

    It is where ``module`` is, or where the ``batch`` is if only that is on an accelerator.

    BatchNorm normalises with the batch, as in the first training step; dropout would make the
    scores random.
    """
    twin = copied(module).train()
    if batch is not None and not batch.inputs.is_cpu and device_of(twin).type == "cpu":
        twin.to(batch.inputs.device)
    for layer in twin.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.eval()
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    return twin


def loss_gradients(
    twin: nn.Module, batch: Batch, *, temperature: float = 1.0, differentiable: bool = False
) -> dict[str, Tensor]:
    """Return the gradients of the loss of outputs / ``temperature`` by prunable parameter name.

    Differentiable gradients keep their graph, for second derivatives.
    """
    weights = prunable_parameters(twin)
    inputs, labels = beside(twin, batch.inputs, batch.labels)
    with no_checkpointing():
        loss = batch.loss(twin(inputs) / temperature, labels)
    gradients = torch.autograd.grad(
        loss, list(weights.values()), create_graph=differentiable, materialize_grads=True
    )
    return dict(zip(weights, gradients, strict=True))


def free_weights(request: SparsityRequest) -> int:
    """Return the number of weights outside the excluded layers."""
    return sum(x.weights for x in request.layers if x.name not in request.excluded)


def free_nonzeros(request: SparsityRequest) -> int:
    """Return how many weights stay outside the excluded layers.

    Raises:
        UsageError: if the excluded layers alone hold more than may stay.
    """
    kept = request.nonzeros - (request.weights - free_weights(request))
    if kept < 0:
        raise UsageError(
            f"sparsity: only {request.nonzeros} weights may stay, fewer than the excluded layers "
            "hold; lower the sparsity or exclude less"
        )
    return kept


def check_finite(scores: Mapping[str, Tensor], method: str) -> None:
    """Raise UsageError unless every score is finite: others have no place in a ranking."""
    for name, score in scores.items():
        if not bool(torch.isfinite(score).all()):
            raise UsageError(
                f"{method}: scores of {name} are not finite; check the weights and the batch"
            )


def keep_highest(
    request: SparsityRequest, scores: Mapping[str, Tensor], kept: int, method: str
) -> dict[str, Tensor]:
    """Return masks of the ``kept`` highest scores over all layers that are not excluded.

    Raises:
        UsageError: if a score is not finite.
    """
    free = [layer.name for layer in request.layers if layer.name not in request.excluded]
    check_finite({name: scores[name] for name in free}, method)
    masks = {
        layer.name: torch.ones(layer.shape, dtype=torch.bool, device=scores[layer.name].device)
        for layer in request.layers
    }
    if free:
        chosen = highest(torch.cat([scores[name].flatten() for name in free]), kept)
        parts = torch.split(chosen, [scores[name].numel() for name in free])
        masks |= {name: part.view_as(masks[name]) for name, part in zip(free, parts, strict=True)}
    return masks
