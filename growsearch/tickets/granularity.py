"""Granularity of tickets: single weights, rows of kernels, kernels or channels go together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.sparsity.layers import prunable_layers
from growsearch.sparsity.patterns import highest
from growsearch.sparsity.ranking import counts_within
from growsearch.sparsity.whole_weights import Countable, tune_counts

Granularity = Literal["unstructured", "row", "kernel", "channel"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)

# How many axes of a weight (out, in, kh, kw) number its units; the others lie inside a unit.
_UNIT_AXES: dict[str, int] = {"unstructured": 4, "row": 3, "kernel": 2, "channel": 1}


def check_granularity(name: str) -> None:
    """Raise UsageError unless ``name`` is in GRANULARITIES."""
    if name not in GRANULARITIES:
        raise UsageError(f"granularity: unknown {name!r}; valid: {', '.join(GRANULARITIES)}")


def check_layers(model: nn.Module, names: Iterable[str], granularity: Granularity) -> None:
    """Raise UsageError if a weight's first axis is no output channel and channels are units."""
    if granularity != "channel":
        return
    turned = {layer.name for layer in prunable_layers(model) if layer.is_transposed}
    for name in names:
        if name in turned:
            layer = model.get_submodule(name.rpartition(".")[0])
            transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
            kind = "a transposed convolution" if transposed else f"of a {type(layer).__name__}"
            raise UsageError(
                f"granularity: channel cannot be had for {name}, {kind}, whose "
                "weight is (in, out, ...); take kernel, row or unstructured"
            )


def unit_size(shape: torch.Size, granularity: Granularity) -> int:
    """Return the weights in a unit of a weight (out, in, kh, kw) or (out, in).

    A row is the kw weights of one row of one kernel, a kernel kh x kw weights, a channel all that
    make one output. In linear layers, whose kernels are single weights, rows and kernels are too.
    """
    return math.prod(shape[_UNIT_AXES[granularity] :])


def pooled(values: Tensor, granularity: Granularity) -> Tensor:
    """Return the sums over each unit of ``values``, which have a weight's shape."""
    axes = _UNIT_AXES[granularity]
    return values if values.ndim <= axes else values.flatten(axes).sum(dim=-1)


def expanded(units: Tensor, shape: torch.Size) -> Tensor:
    """Return the mask of a weight of ``shape`` that has the units that are True."""
    return units.reshape(*units.shape, *(1,) * (len(shape) - units.ndim)).expand(shape).clone()


def choose_units(
    scores: Mapping[str, Tensor], sizes: Mapping[str, int], kept: int
) -> dict[str, Tensor]:
    """Return the units of highest score, by layer, that have ``kept`` weights together.

    All layers are ranked together. Every layer keeps one unit at least, since an empty one cuts the
    network in two. Where whole units miss ``kept``, those that change least bring it as near as can
    be: exactly, as long as some layer's units are single weights. Ties go to the earlier unit.

    Args:
        scores: of every unit, by layer; -inf is never chosen.
        sizes: weights in a unit of each layer.
        kept: weights to keep.
    """
    ranked = counts_within(scores, sizes, kept)
    items = {
        name: Countable(
            count=max(1, ranked[name]),
            least=1,
            most=int(torch.count_nonzero(score > -torch.inf)),
            cost=sizes[name],
        )
        for name, score in scores.items()
    }
    missing = kept - sum(item.count * item.cost for item in items.values())
    counts = tune_counts(items, missing)
    return {name: highest(score, counts[name]) for name, score in scores.items()}
