"""Scale-free rows: output channels whose scale a normalisation behind them takes out again.

Behind a BatchNorm a filter may be multiplied by any c > 0, and the network in training computes the
same. Where that is so is not told from names or from the order of layers, but from derivatives: a
function L that does not change with the scale of a row w (and its bias b) has everywhere
<w, dL/dw> + b dL/db = 0 (Euler), and at a random point this holds for such rows only. What is found
is tried with factors, another for every row, in training and in evaluation; they also tell which
statistics follow which row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from cost_models.counting.module_state import untouched
from growsearch.growth.full_network import build_full
from growsearch.growth.surgery.scale_trial import (
    CannotRunError,
    FollowingNorm,
    Layer,
    Norm,
    ScaleFreeRows,
    Trial,
    row_factors,
)
from search_spaces import SearchSpace
from search_spaces.own_networks.keyword_inputs import tensors_given
from search_spaces.randomness import random_state_kept
from search_spaces.tracing.network_probe import module_by_module, network_probe

__all__ = ["FollowingNorm", "ScaleFreeRows", "scale_free_rows", "scale_free_rows_of"]

_Conv = nn.modules.conv._ConvNd
_ConvTranspose = nn.modules.conv._ConvTransposeNd

# Two values of a feature are 1 and -1 behind a BatchNorm whatever comes in; few are often alike.
_VALUES, _FEWEST, _MOST, _SPACES = 32, 2, 8, 64


def scale_free_rows(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[ScaleFreeRows, ...]:
    """Return the rows of linear and convolutional layers whose scale a BatchNorm takes out again.

    BatchNorms and InstanceNorms of torch count, and what is made of them; there may be layers
    between that pass a scale on (a concatenation, pooling, ReLU). Norms over several channels
    (LayerNorm, GroupNorm) do not leave rows free, nor do norms that the network keeps in evaluation
    mode. Layers that are frozen, or whose weights are computed, are left out; so is all that cannot
    be proven.

    Args:
        module: at full width, without gates. It stays as it is, as do torch's generators.
        inputs: batch first, of eight examples or so; values of floating inputs do not matter.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.growth.surgery.scale_free import scale_free_rows
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
        >>> found = scale_free_rows(net, (torch.zeros(8, 3),))
        >>> [(free.weight, free.bias, int(free.rows.sum())) for free in found]
        [('0.weight', '0.bias', 4)]
    """
    layers = _layers(module)
    if not layers or not any(isinstance(layer, Norm) for layer in module.modules()):
        return ()
    with random_state_kept(), module_by_module():
        generator = torch.Generator().manual_seed(0)
        try:
            first = Trial(*network_probe(module, inputs, generator, double=True))
            trials = [first, first.opened()]
            return _parted(trials, _unmoved(trials, layers), generator)
        except CannotRunError:
            return ()  # its norms cannot be in training, or not with these inputs


def scale_free_rows_of(space: SearchSpace) -> tuple[ScaleFreeRows, ...]:
    """Return `scale_free_rows` of the full network of ``space``, found once a process.

    Example:
        >>> from growsearch.growth.surgery.scale_free import scale_free_rows_of
        >>> from search_spaces import search_space
        >>> [free.weight for free in scale_free_rows_of(search_space("mlp-digits"))]
        ['hidden.0.linear.weight', 'hidden.1.linear.weight']
    """
    return _found(cast(Hashable, space))


@functools.lru_cache(maxsize=_SPACES)
def _found(key: Hashable) -> tuple[ScaleFreeRows, ...]:
    space = cast(SearchSpace, key)
    model = build_full(space, seed=0)
    each = fewest_values(model, space.example_inputs(_FEWEST)) / _FEWEST
    batch = min(max(_FEWEST, math.ceil(_VALUES / max(each, 1))), _MOST)
    return scale_free_rows(model, space.example_inputs(batch))


@torch.no_grad()
def fewest_values(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Return how many values of a feature a norm sees at least; 0 where none is called.

    The examples, times the positions of each: large images need few examples. The module and the
    random state are left as they were.
    """
    seen: list[int] = []

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = tensors_given(args, kwargs)[0]
        seen.append(x.numel() // max(x.shape[1], 1))

    with untouched(module):
        for norm in (each for each in module.modules() if isinstance(each, Norm)):
            norm.register_forward_pre_hook(note, with_kwargs=True)
        module(*inputs)
    return min(seen, default=0)


def _layers(module: nn.Module) -> list[Layer]:
    """Return the layers whose weights are parameters that learn."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found: dict[str, Layer] = {}
    for layer in module.modules():
        if not isinstance(layer, (nn.Linear, _Conv)):
            continue
        weight, bias = layer._parameters.get("weight"), layer._parameters.get("bias")
        held = [each for each in (weight, bias) if each is not None]
        transposed = isinstance(layer, _ConvTranspose)
        if weight is None or not all(each.requires_grad for each in held):
            continue
        if isinstance(layer, _ConvTranspose) and layer.groups > 1:
            continue  # its rows lie along both axes
        name, axis = names[id(weight)], int(transposed)
        found[name] = Layer(
            weight=name,
            bias="" if bias is None else names[id(bias)],
            axis=axis,
            rows=torch.ones(weight.shape[axis], dtype=torch.bool),
        )
    return list(found.values())


def _unmoved(trials: Sequence[Trial], layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with those rows for which Euler's equation holds in all ``trials``."""
    seen = [trial.derivatives(layers) for trial in trials]
    found = []
    for i, layer in enumerate(layers):
        heard, moved = (torch.stack([each[i][k] for each in seen]).any(dim=0) for k in (0, 1))
        if bool((heard & ~moved).any()):
            found.append(replace(layer, rows=heard & ~moved))
    return found


def _parted(
    trials: Sequence[Trial], layers: Sequence[Layer], generator: torch.Generator
) -> tuple[ScaleFreeRows, ...]:
    """Return what is proven of ``layers``, together or by halves."""
    if not layers:
        return ()
    found = _proven(trials, layers, generator)
    if found is not None:
        return found
    half = len(layers) // 2
    parts = (layers[:half], layers[half:]) if half else ()
    return tuple(free for part in parts for free in _parted(trials, part, generator))


def _proven(
    trials: Sequence[Trial], layers: Sequence[Layer], generator: torch.Generator
) -> tuple[ScaleFreeRows, ...] | None:
    """Return what follows the rows of ``layers``; None if their scale is seen in an output.

    The last trial, in which hardly a feature is closed, tells what follows which row.
    """
    factors = row_factors(layers, generator)
    found: tuple[ScaleFreeRows, ...] | None = None
    for trial in trials[::-1]:
        found = trial.proven(layers, factors, found)
        if found is None:
            return None
    return found
