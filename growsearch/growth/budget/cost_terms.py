"""Cost terms: exact parameters and MACs of any widths and units, without building the network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import cost_models
from search_spaces import ChannelGroup, Member, Unit
from search_spaces.channel_groups import axes_by_tensor
from search_spaces.own_networks.keyword_inputs import (
    ExampleInputs,
    by_position,
    tensors_given,
)
from search_spaces.own_networks.plain_layers import own_computation, torchs_class

CostName = Literal["parameters", "macs", "latency"]
ForwardHook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]


class CostFunction(Protocol):
    """What a network of given sizes costs: a count, or a time in seconds."""

    def exact(self, sizes: Sequence[int]) -> float:
        """Return the cost of the network with these sizes."""
        ...

    def expected(self, sizes: Sequence[float]) -> float:
        """Return the cost at mean sizes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTerms:
    """A cost as a sum of products of group sizes: sum over terms of coefficient x sizes.

    ``terms`` holds (coefficient, groups), groups being positions in ``names``; a constant has none.
    A unit is one more group, of size 1 where it runs and 0 where it is detached.
    """

    names: tuple[str, ...]
    terms: tuple[tuple[int, tuple[int, ...]], ...]
    # The same as arrays (terms,) and (terms, most groups), places without a group pointing behind
    # the last one: a policy asks at every step, and a large network has a thousand terms.
    _coefficients: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _factors: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        most = max((len(groups) for _, groups in self.terms), default=0)
        padded = [groups + (len(self.names),) * (most - len(groups)) for _, groups in self.terms]
        factors = np.array(padded, dtype=np.int64).reshape(len(self.terms), most)
        coefficients = np.array([c for c, _ in self.terms], dtype=np.int64)
        object.__setattr__(self, "_factors", factors)
        object.__setattr__(self, "_coefficients", coefficients)

    def exact(self, sizes: Sequence[int]) -> int:
        """Return the cost of the network with these widths, in the order of ``names``."""
        values = np.array([*sizes, 1], dtype=np.int64)
        return int(self._coefficients @ values[self._factors].prod(axis=1))

    def expected(self, sizes: Sequence[float]) -> float:
        """Return the cost at mean widths.

        This is the expectation for independent structures, except for terms that hold a group twice
        (a variance that shrinks with the width is left out).
        """
        values = np.array([*sizes, 1.0])
        return float(self._coefficients @ values[self._factors].prod(axis=1))


def parameter_terms(
    module: nn.Module, groups: tuple[ChannelGroup, ...], units: tuple[Unit, ...] = ()
) -> CostTerms:
    """Return the number of trained parameters as a function of the widths, then of ``units``."""
    repeats = {name: 1 for name, _ in module.named_parameters()}
    return product_terms(dict(module.named_parameters()), groups, units, repeats)


def mac_terms(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: ExampleInputs,
    units: tuple[Unit, ...] = (),
) -> CostTerms:
    """Return the MACs of one example in convolutions, linear and recurrent layers.

    They are a function of the widths and, behind them, of which ``units`` run. Products outside
    such layers (attention) are not among them: see `traced_macs.traced_mac_terms`.
    Each weight counts once an output position and example; those of a recurrent layer, input to
    hidden and hidden to hidden, once a token. BatchNorm, activations, pooling and embeddings hold
    no MACs here (as in fvcore). ``example_inputs`` must hold one example.
    """
    positions = output_positions(module, example_inputs)
    return product_terms(dict(module.named_parameters()), groups, units, positions)


def product_terms(
    tensors: Mapping[str, Tensor],
    groups: tuple[ChannelGroup, ...],
    units: tuple[Unit, ...],
    repeats: Mapping[str, int],
) -> CostTerms:
    """Return the entries of the tensors that ``repeats`` names, each as often as it says."""
    names = (*(group.name for group in groups), *(unit.name for unit in units))
    axes = axes_by_tensor(groups)
    merged: dict[tuple[int, ...], int] = {}
    for name, times in repeats.items():
        around = [names.index(u.name) for u in units if u.holds(name)]
        for entries, of in entry_terms(tensors[name].shape, axes.get(name, ())):
            key = tuple(sorted([*map(names.index, of), *around]))
            merged[key] = merged.get(key, 0) + times * entries
    return CostTerms(names=names, terms=tuple((c, key) for key, c in merged.items()))


def entry_terms(
    shape: Sequence[int], axes: Sequence[tuple[int, ChannelGroup, Member]]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the number of entries of a tensor as products: (coefficient, names of groups).

    There is one for each choice of a part from every axis that holds several (concatenated feature
    maps): those of a group, and those that belong to none.
    """
    sums: list[list[tuple[int, tuple[str, ...]]]] = []
    for axis, size in enumerate(shape):
        here = [(group, member) for of, group, member in axes if of == axis]
        parts: list[tuple[int, tuple[str, ...]]] = [
            (member.entries_per_channel, (group.name,)) for group, member in here
        ]
        rest = size - sum(group.size * member.entries_per_channel for group, member in here)
        sums.append([*parts, (rest, ())] if rest or not parts else parts)
    for chosen in itertools.product(*sums):
        yield (
            math.prod(entries for entries, _ in chosen),
            tuple(name for _, names in chosen for name in names),
        )


@torch.no_grad()
def output_positions(module: nn.Module, example_inputs: ExampleInputs) -> dict[str, int]:
    """Return, by weight name, at how many positions a forward pass of one example applies it.

    Layers whose computation is torch's own are seen by their outputs; of others a trace tells how
    often each weight is used.
    """
    module, inputs = by_position(module, example_inputs)
    counted: dict[str, int] = {}
    # By identity: a weight that two layers share is listed under its first name only.
    names: dict[Tensor, str] = {p: name for name, p in module.named_parameters()}
    own = [names[w] for layer in module.modules() for w in _own_weights(layer) if w in names]
    handles = [
        layer.register_forward_hook(_counter(weights, counted), with_kwargs=True)
        for layer in module.modules()
        if (weights := [names[w] for w in _counted_weights(layer) if w in names])
    ]
    was_training = module.training
    module.eval()
    try:
        module(*inputs)
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    if own:
        traced = cost_models.trace_weights(module, inputs).macs_per_element
        counted |= {name: traced[name] for name in own if traced[name]}
    return counted


def _own_weights(layer: nn.Module) -> list[Tensor]:
    """Return the weights of a layer that does with them what no class of torch's does."""
    torchs = (nn.modules.conv._ConvNd, nn.Linear)
    alone = torchs_class(layer) is nn.Module and not layer._modules
    if not alone and not (isinstance(layer, torchs) and own_computation(layer)):
        return []
    return [each for each in layer.parameters(recurse=False) if each.ndim > 1]


def _counted_weights(layer: nn.Module) -> list[Tensor]:
    """Return the weights of one layer that do MACs; a convolution's if it computes as torch's."""
    if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear)):
        return [] if own_computation(layer) else [layer.weight]
    if isinstance(layer, nn.RNNBase):
        return [weight for weight in layer.parameters(recurse=False) if weight.ndim > 1]
    return []


def _counter(weights: Sequence[str], counted: dict[str, int]) -> ForwardHook:
    def count(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        # A recurrent layer returns (output, state).
        values = output[0] if isinstance(layer, nn.RNNBase) else output
        if isinstance(layer, nn.modules.conv._ConvTransposeNd):
            # It applies its whole weight at every place of its input.
            values = tensors_given(args, kwargs)[0]
        last = isinstance(layer, (nn.Linear, nn.RNNBase))
        channels = values.shape[-1] if last else values.shape[1]
        for weight in weights:
            counted[weight] = counted.get(weight, 0) + values.numel() // channels

    return count
