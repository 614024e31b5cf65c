"""What does a network of given widths cost? Exact parameters and MACs without building it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces import ChannelGroup
from search_spaces.channel_groups import axes_by_tensor

Metric = Literal["parameters", "macs"]
ForwardHook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTerms:
    """A cost as a sum of products of group sizes: sum over terms of coefficient x sizes.

    ``terms`` holds (coefficient, groups), groups being positions in ``names``; a constant has none.
    """

    names: tuple[str, ...]
    terms: tuple[tuple[int, tuple[int, ...]], ...]

    def exact(self, sizes: Sequence[int]) -> int:
        """Return the cost of the network with these widths, in the order of ``names``."""
        return sum(c * math.prod(sizes[g] for g in groups) for c, groups in self.terms)

    def expected(self, sizes: Sequence[float]) -> float:
        """Return the cost at mean widths.

        This is the expectation for independent channels, except for terms that hold a group twice
        (a variance that shrinks with the width is left out).
        """
        return sum(c * math.prod(sizes[g] for g in groups) for c, groups in self.terms)


def parameter_terms(module: nn.Module, groups: tuple[ChannelGroup, ...]) -> CostTerms:
    """Return the number of trained parameters as a function of the widths."""
    repeats = {name: 1 for name, _ in module.named_parameters()}
    return _terms(dict(module.named_parameters()), groups, repeats)


def mac_terms(
    module: nn.Module, groups: tuple[ChannelGroup, ...], example_inputs: tuple[Tensor, ...]
) -> CostTerms:
    """Return the MACs of one example in convolutions and linear layers, by the widths.

    Each weight counts once an output position and example. BatchNorm, activations and pooling hold
    no MACs here (as in fvcore). ``example_inputs`` must hold one example.
    """
    positions = _output_positions(module, example_inputs)
    return _terms(dict(module.named_parameters()), groups, positions)


def _terms(
    tensors: Mapping[str, Tensor], groups: tuple[ChannelGroup, ...], repeats: Mapping[str, int]
) -> CostTerms:
    names = tuple(group.name for group in groups)
    axes = axes_by_tensor(groups)
    merged: dict[tuple[int, ...], int] = {}
    for name, times in repeats.items():
        shape = list(tensors[name].shape)
        found = []
        for axis, group, repeat in axes.get(name, ()):
            shape[axis] = repeat
            found.append(names.index(group.name))
        key = tuple(sorted(found))
        merged[key] = merged.get(key, 0) + times * math.prod(shape)
    return CostTerms(names=names, terms=tuple((c, key) for key, c in merged.items()))


@torch.no_grad()
def _output_positions(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> dict[str, int]:
    """Return, by weight name, at how many positions a forward pass of one example applies it."""
    counted: dict[str, int] = {}
    # By identity: a weight that two layers share is listed under its first name only.
    names: dict[Tensor, str] = {p: name for name, p in module.named_parameters()}
    handles = [
        layer.register_forward_hook(_counter(names[layer.weight], counted))
        for layer in module.modules()
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))
    ]
    was_training = module.training
    module.eval()
    try:
        module(*example_inputs)
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    return counted


def _counter(weight: str, counted: dict[str, int]) -> ForwardHook:
    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG001
        channels = output.shape[-1] if isinstance(layer, nn.Linear) else output.shape[1]
        counted[weight] = counted.get(weight, 0) + output.numel() // channels

    return count
