"""Zeros that last: is a masked weight still zero in what the network computes with it?

A layer of a person's own class may standardise or scale its weight in every forward pass. Where the
zeros come back, masks have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from growsearch.errors import UsageError
from growsearch.sparsity.layers import prunable_layers
from growsearch.sparsity.maskable import computed_message, loses_zeros, weights_without_zeros
from search_spaces.own_networks.keyword_inputs import ExampleInputs


def check_layers_keep_zeros(layers: Iterable[tuple[str, nn.Module]]) -> None:
    """Refuse layers of own classes that do not compute with the weight they store.

    Each is run alone on a small input. One that does not run so is not judged here, but by
    `check_network_keeps_zeros`.

    Args:
        layers: with the names of their weights.

    Raises:
        UsageError: naming the weight and its layer's class.
    """
    for name, layer in layers:
        if loses_zeros(layer):
            raise UsageError(computed_message(name, type(layer).__name__))


def check_network_keeps_zeros(module: nn.Module, example_inputs: ExampleInputs) -> None:
    """Refuse a network that computes with another weight than a layer that gets a mask stores.

    It is run once, and left as it was.

    Args:
        module: the network.
        example_inputs: positional inputs, or inputs by the names of arguments, batch first.

    Raises:
        UsageError: naming the weight; or if no layer is left that could have a mask.
        CostModelError: if the network cannot be traced.
    """
    names = [layer.name for layer in prunable_layers(module)]
    for name in weights_without_zeros(module, example_inputs, names):
        layer = module.get_submodule(name.rpartition(".")[0])
        raise UsageError(computed_message(name, type(layer).__name__))
