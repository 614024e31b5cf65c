"""Recalibration: running statistics of BatchNorms, taken anew after a change of structure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeGuard

import torch
from torch import Tensor, nn

from growsearch.growth.gates.gate import GatedBatchNorm
from growsearch.metrics.placement import beside
from growsearch.training import Task, TrainingState
from search_spaces.own_networks.plain_layers import own_computation


def _without_single(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield all but batches of one example behind larger ones."""
    largest = 0
    for batch in batches:
        largest = max(largest, len(batch))
        if len(batch) > 1 or largest == 1:
            yield batch


def has_statistics(module: nn.Module) -> bool:
    """Tell whether there is anything for `recalibrate` to do."""
    return any(_counts(layer) for layer in module.modules())


def _counts(layer: nn.Module) -> TypeGuard[nn.modules.batchnorm._BatchNorm]:
    """Tell whether ``layer`` is a BatchNorm with running statistics."""
    return isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None


@torch.no_grad()
def recalibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace BatchNorm's running statistics by their averages over ``batches`` (N, ...) each.

    Those of layers that the network keeps in evaluation mode, as frozen ones are, stay. What a norm
    with a forward of its own makes of no momentum nobody knows: it gets that of a mean instead. A
    last batch of one example is left out, of which a BatchNorm may refuse to take the variance.
    """
    was_training = module.training
    module.train()
    norms = [layer for layer in module.modules() if _counts(layer) and layer.training]
    kept = [norm.momentum for norm in norms]
    own = [n for n in norms if not isinstance(n, GatedBatchNorm) and own_computation(n)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for number, inputs in enumerate(_without_single(batches), start=1):
        for norm in own:
            norm.momentum = 1.0 / number
        module(inputs)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    module.train(was_training)


def examples_of(task: Task, batch_size: int, batches: int) -> int:
    """Return how many examples `recalibrate_on` sees: fewer where the data are few."""
    size = task.batch_examples(batch_size)
    seen = len(task.sample(size * batches, torch.Generator())[0])
    return seen - (size > 1 and seen % size == 1)


def recalibrate_on(
    task: Task, state: TrainingState, batches: int, generator: torch.Generator
) -> None:
    """Recalibrate a network in training on batches of its task, and count what that costs."""
    size = task.batch_examples(state.recipe.batch_size)
    inputs, _ = task.sample(size * batches, generator)
    if size > 1 and len(inputs) % size == 1:
        # It would be left out, and is not to be counted.
        inputs = inputs[:-1]
    (inputs,) = beside(state.model, inputs)
    recalibrate(state.model, torch.split(inputs, size))
    # Forward passes cost as well: once, for they have no backward pass.
    state.training_macs += state.forward_macs * len(inputs)
