"""Sparsity at initialisation: layer-wise ratios, whole counts, random masks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from growsearch.sparsity.allocation import allocate
from growsearch.sparsity.distributions import (
    Batch,
    SparsityRequest,
    saliency,
    sparsity_distribution,
)
from growsearch.sparsity.layers import check_to_be_masked
from growsearch.sparsity.masks import Masks


def layer_sparsities(
    module: nn.Module,
    sparsity: float = 0.9,
    distribution: str = "erk",
    exclude: Iterable[str] = (),
    batch: Batch | None = None,
) -> dict[str, float]:
    """Return every prunable layer's sparsity, by parameter name in module order.

    The sparsities weighted by layer size average to ``sparsity`` over *all* prunable weights:
    excluded layers stay dense and the others pay for them. Frozen ones (requires_grad=False) stay
    dense too, and the others do not pay: the sparsity is theirs. These are exact ratios;
    `layer_zero_counts` rounds them to whole weights.

    Args:
        module: its convolutions and linear layers are prunable.
        sparsity: share of zeros in [0, 1) over all prunable weights.
        distribution: a key of SPARSITY_DISTRIBUTIONS.
        exclude: parameter names that stay dense.
        batch: data, for the distributions that look at it.

    Raises:
        UsageError: for an unknown name, or a target that the dense layers alone overshoot.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import layer_sparsities
        >>> module = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 5))
        >>> found = layer_sparsities(module, 0.8, "erk")
        >>> {name: round(sparsity, 3) for name, sparsity in found.items()}
        {'0.weight': 0.844, '2.weight': 0.533}
    """
    request = SparsityRequest.of(module, sparsity, exclude, batch)
    densities = sparsity_distribution(distribution)(request)
    return {name: 1.0 - density for name, density in densities.items()}


def layer_zero_counts(
    module: nn.Module,
    sparsity: float = 0.9,
    distribution: str = "erk",
    exclude: Iterable[str] = (),
    batch: Batch | None = None,
) -> dict[str, int]:
    """Return every prunable layer's number of zeros; they sum to round(weights x ``sparsity``).

    Arguments and errors are those of `layer_sparsities`.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import layer_zero_counts
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> layer_zero_counts(module, 0.5, "uniform")
        {'0.weight': 16, '2.weight': 4}
    """
    return _zero_counts(SparsityRequest.of(module, sparsity, exclude, batch), distribution)


def _zero_counts(request: SparsityRequest, distribution: str) -> dict[str, int]:
    densities = sparsity_distribution(distribution)(request)
    kept = allocate(request.layers, densities, request.nonzeros)
    return {layer.name: layer.weights - kept[layer.name] for layer in request.layers}


def sparsify(
    module: nn.Module,
    *,
    sparsity: float,
    distribution: str = "erk",
    generator: torch.Generator,
    exclude: Iterable[str] = (),
    batch: Batch | None = None,
) -> Masks:
    """Give ``module`` random masks with the distribution's exact counts; zeros go in place.

    For "snip", "grasp", "force" and "synflow" the layer-wise ratios are the method's and the
    positions are redrawn (arXiv 2202.02643, section 3.1); `prune_by_saliency` keeps the positions.
    Excluded layers get no mask, so that no later pruning schedule touches them. Nor do frozen ones
    (requires_grad=False), whose sparsity is not asked for, and those that compute with another
    weight than they store: which they are is logged.

    Args:
        module: changed in place.
        sparsity: share of zeros in [0, 1) over all prunable weights that are trained.
        distribution: a key of SPARSITY_DISTRIBUTIONS.
        generator: draws the positions, on the CPU.
        exclude: parameter names that stay dense.
        batch: data, for the distributions that look at it.

    Raises:
        UsageError: as `layer_sparsities`, if the module has masks already, if all its layers are
            frozen, or if it is scripted, compiled or without values.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import sparsify
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> draw = torch.Generator().manual_seed(0)
        >>> masks = sparsify(module, sparsity=0.5, distribution="uniform", generator=draw)
        >>> masks.nonzeros(), int(module[0].weight.count_nonzero())
        ({'0.weight': 16, '2.weight': 4}, 16)
    """
    check_to_be_masked(module)
    request = SparsityRequest.of(module, sparsity, exclude, batch)
    zeros = _zero_counts(request, distribution)
    return Masks.attach(
        module,
        {
            layer.name: random_mask(torch.Size(layer.shape), zeros[layer.name], generator)
            for layer in request.layers
            if layer.name not in request.excluded
        },
    )


def prune_by_saliency(
    module: nn.Module,
    *,
    sparsity: float,
    method: str = "snip",
    batch: Batch,
    exclude: Iterable[str] = (),
) -> Masks:
    """Give ``module`` the masks that a saliency method chooses, positions and all; zeros in place.

    A layer may lose all its weights: these methods rank all layers together.

    Args:
        module: changed in place; its gradients, statistics and mode are not.
        sparsity: share of zeros in [0, 1) over all prunable weights; the count is exact.
        method: a key of SALIENCIES.
        batch: data to score the weights on ("synflow" reads one example's shape only).
        exclude: parameter names that stay dense and get no mask.

    Raises:
        UsageError: as `layer_sparsities`, if the module has masks already, if all its layers are
            frozen, or if it is scripted, compiled or without values.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import Batch, prune_by_saliency
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> batch = Batch(inputs=torch.ones(3, 8), labels=torch.tensor([0, 1, 0]))
        >>> masks = prune_by_saliency(module, sparsity=0.5, method="snip", batch=batch)
        >>> sum(masks.nonzeros().values())
        20
    """
    check_to_be_masked(module)
    request = SparsityRequest.of(module, sparsity, exclude, batch)
    masks = saliency(method)(request)
    return Masks.attach(module, {n: m for n, m in masks.items() if n not in request.excluded})


def random_mask(shape: torch.Size, zeros: int, generator: torch.Generator) -> Tensor:
    """Return a bool tensor of ``shape`` with exactly ``zeros`` False entries, drawn uniformly."""
    count = shape.numel()
    fewer = min(zeros, count - zeros)
    drawn = torch.zeros(count, dtype=torch.bool)
    missing = fewer
    # The first ``fewer`` different places of a stream of independent draws are a uniform choice.
    # No permutation: its random access to memory takes ten times as long in large layers.
    while missing:
        drawn[torch.randint(count, (missing,), generator=generator)] = True
        missing = fewer - int(torch.count_nonzero(drawn))
    mask = drawn if fewer < zeros else drawn.logical_not_()
    return mask.view(shape)
