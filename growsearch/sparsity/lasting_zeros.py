"""Zeros that last: is a masked weight still zero in what the network computes with it?

A layer of a person's own class may standardise or scale its weight in every forward pass. Where the
zeros come back, masks have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cost_models import CostModelError, trace_weights
from cost_models.counting.module_state import untouched
from growsearch.errors import UsageError
from growsearch.metrics.placement import beside
from growsearch.sparsity.layers import prunable_parameters

_TORCHS_OWN = "torch."


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
        inputs = _inputs_of(layer)
        if inputs is None:
            continue
        try:
            lost = _weights_without_zeros(layer, (inputs,), ["weight"])
        except CostModelError:
            continue
        if lost:
            raise UsageError(_message(name, type(layer).__name__))


def check_network_keeps_zeros(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> None:
    """Refuse a network that computes with another weight than a convolution or linear layer stores.

    It is run once, and left as it was.

    Args:
        module: the network.
        example_inputs: positional inputs, each with the batch on axis 0.

    Raises:
        UsageError: naming the weight.
        CostModelError: if the network cannot be traced.
    """
    names = list(prunable_parameters(module))
    for name in _weights_without_zeros(module, example_inputs, names):
        layer = module.get_submodule(name.rpartition(".")[0])
        raise UsageError(_message(name, type(layer).__name__))


@torch.no_grad()
def _weights_without_zeros(
    module: nn.Module, inputs: tuple[Tensor, ...], names: Iterable[str]
) -> list[str]:
    """Return those of ``names`` that have zeros which no operator of the network meets."""
    with untouched(module):
        for parameter in module.parameters():
            # Also what starts at 0 and hides an addition, as adapters of low rank do.
            if parameter.is_floating_point():
                parameter.uniform_(0.5, 1.5)
        for name in names:
            weight = module.get_parameter(name)
            weight.mul_(torch.arange(weight.numel(), device=weight.device).view_as(weight) % 2)
        computed = trace_weights(module, beside(module, *inputs)).computed
    return [name for name in names if name in computed]


def _inputs_of(layer: nn.Module) -> Tensor | None:
    """Return a small input of a layer of an own class, or None where there is nothing to try."""
    if type(layer).__module__.startswith(_TORCHS_OWN):
        return None
    weight = layer._parameters.get("weight")
    if weight is None or weight.is_meta or nn.parameter.is_lazy(weight):
        return None
    if isinstance(layer, nn.Linear):
        return weight.new_zeros(1, layer.in_features)
    if not isinstance(layer, nn.modules.conv._ConvNd):
        return None
    sizes = zip(layer.kernel_size, layer.dilation, strict=True)
    return weight.new_zeros(1, layer.in_channels, *(1 + (k - 1) * d for k, d in sizes))


def _message(name: str, kind: str) -> str:
    return (
        f"{name}: {kind} computes with another weight, made of this one in every forward pass, in "
        "which masked weights are not zero: a mask would have no effect; take a layer that uses "
        "its weight as it is, or exclude it from the masks"
    )
