"""Gradient flow: how strong is the gradient that reaches the active weights of a sparse network?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cost_models.counting.plain_calls import no_checkpointing
from growsearch.metrics.placement import beside
from search_spaces.randomness import random_state_kept

Loss = Callable[[Any, Tensor], Tensor]


def _mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten())


def layer_gradient_norms(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    masks: Mapping[str, Tensor],
    *,
    loss: Loss = _mean_cross_entropy,
) -> dict[str, float]:
    """Return the Euclidean norm of the loss's gradient over the active weights of every layer.

    The loss is that of one batch in the model's present mode. Gradients stored on
    the parameters stay as they are; in training mode BatchNorm statistics see the batch (see
    `undisturbed`).

    Args:
        model: maps inputs (N, ...) to logits (N, classes), or (N, T, words) of a text.
        inputs: one batch.
        labels: (N,), or (N, T).
        masks: True where a weight is active, by parameter name; these layers are measured. Masks
            that are all True measure the dense network.
        loss: maps (outputs, labels) to a scalar; by default the mean cross-entropy.

    Example:
        >>> import torch
        >>> from growsearch.metrics import layer_gradient_norms
        >>> module = torch.nn.Linear(2, 2, bias=False)
        >>> _ = module.weight.data.zero_()
        >>> masks = {"weight": torch.tensor([[True, False], [False, False]])}
        >>> layer_gradient_norms(module, torch.tensor([[4.0, 3.0]]), torch.tensor([0]), masks)
        {'weight': 2.0}
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    weights = [parameters[name] for name in masks]
    inputs, labels = beside(model, inputs, labels)
    with no_checkpointing():
        value = loss(model(inputs), labels)
    gradients = torch.autograd.grad(value, weights, materialize_grads=True)
    return {
        name: float(torch.linalg.vector_norm(gradient[mask.to(gradient.device)]))
        for (name, mask), gradient in zip(masks.items(), gradients, strict=True)
    }


def effective_gradient_flow(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    masks: Mapping[str, Tensor],
    *,
    loss: Loss = _mean_cross_entropy,
) -> float:
    """Return the norm of the gradient over all active weights together.

    After Tessera et al. 2021 (arXiv 2102.01670, section 3.2) and arXiv 2202.02643, appendix: masked
    weights do not count, since their gradient moves nothing. Arguments as `layer_gradient_norms`.

    Example:
        >>> import torch
        >>> from growsearch.metrics import effective_gradient_flow
        >>> module = torch.nn.Linear(2, 2, bias=False)
        >>> _ = module.weight.data.zero_()
        >>> masks = {"weight": torch.tensor([[True, True], [False, False]])}
        >>> effective_gradient_flow(module, torch.tensor([[4.0, 3.0]]), torch.tensor([0]), masks)
        2.5
    """
    norms = layer_gradient_norms(model, inputs, labels, masks, loss=loss)
    return math.hypot(*norms.values())


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Measure in training mode inside; buffers (BatchNorm's), mode and random stream come back.

    Example:
        >>> import torch
        >>> from growsearch.metrics import undisturbed
        >>> norm = torch.nn.BatchNorm1d(2).eval()
        >>> with undisturbed(norm):
        ...     _ = norm(torch.ones(4, 2))
        >>> norm.training, norm.running_mean.tolist()
        (False, [0.0, 0.0])
    """
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    modes = [(part, part.training) for part in model.modules()]
    model.train()
    try:
        with random_state_kept():
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for part, training in modes:
            part.training = training
