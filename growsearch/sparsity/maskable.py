"""Maskable weights: which layers compute with the very weight that they store?

A layer of a person's own class may standardise, scale or add to its weight in every forward pass,
or compute it from other tensors. Zeros that a mask puts in such a weight come back: the layer stays
dense, and the reason is told. A layer that is neither linear nor a convolution of torch's, but
multiplies by its one matrix (transformers' Conv1D), can be masked as well.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import weakref
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from cost_models import CostModelError, WeightWork, trace_weights
from cost_models.counting.module_state import untouched
from growsearch.errors import UsageError
from growsearch.metrics.placement import beside
from search_spaces.own_networks.keyword_inputs import ExampleInputs, by_position
from search_spaces.own_networks.plain_layers import own_computation, torchs_class
from search_spaces.own_networks.plain_weights import reparametrised
from search_spaces.own_networks.whole_networks import in_the_way

_LOG = logging.getLogger(__name__)
_Conv = nn.modules.conv._ConvNd
Matrix = Literal["", "out_in", "in_out"]

# What has been found of a layer, with the shape of the weight that it was found for.
_REASONS: weakref.WeakKeyDictionary[nn.Module, tuple[object, str]] = weakref.WeakKeyDictionary()
_MATRICES: weakref.WeakKeyDictionary[nn.Module, tuple[object, Matrix]] = weakref.WeakKeyDictionary()


def unmaskable_layers(module: nn.Module) -> dict[str, str]:
    """Return the weights of convolutions and linear layers that no mask acts on, and why.

    Layers whose computation is torch's own are taken at their word. Others run alone on a small
    input; one that does not run so is judged with its network (`lasting_zeros`).

    Example:
        >>> from torch import nn
        >>> from torch.nn.utils.parametrizations import weight_norm
        >>> from growsearch.sparsity.maskable import unmaskable_layers
        >>> module = nn.Sequential(weight_norm(nn.Linear(8, 4)), nn.Linear(4, 2))
        >>> list(unmaskable_layers(module))
        ['0.weight']
    """
    found = {}
    for path, layer in module.named_modules():
        if isinstance(layer, (_Conv, nn.Linear)) and "weight" not in layer._buffers:
            name = f"{path}.weight" if path else "weight"
            reason = _reason(name, layer)
            if reason:
                found[name] = reason
    return found


def check_changeable(module: nn.Module) -> None:
    """Refuse a network whose layers can get no masks and no others in their places.

    Raises:
        UsageError: if it, or a part of it, is scripted or compiled, or holds no values.
    """
    reason = in_the_way(module)
    if reason:
        raise UsageError(reason)


def tell_kept(network: str, kept: Mapping[str, str]) -> None:
    """Log once a process which layers of ``network`` stay as they are, and why: a line a reason."""
    alike: dict[str, list[str]] = {}
    for layer, reason in kept.items():
        alike.setdefault(reason.replace(layer, "it"), []).append(layer)
    for first, *others in alike.values():
        stay = f"and {len(others)} others stay as they are" if others else "stays as it is"
        _tell(network, f"{first} {stay}: {kept[first]}")


@functools.cache
def _tell(network: str, message: str) -> None:
    _LOG.warning("%s: %s", network, message)


def _reason(name: str, layer: nn.Module) -> str:
    for found in reparametrised(layer):
        if found.name == "weight":
            return str(dataclasses.replace(found, name=name))
    weight = layer._parameters.get("weight")
    if weight is None or nn.parameter.is_lazy(weight) or own_computation(layer) == "":
        return ""
    key = (weight.shape, type(layer))
    if layer not in _REASONS or _REASONS[layer][0] != key:
        _REASONS[layer] = (key, "yes" if loses_zeros(layer) else "")
    return computed_message(name, type(layer).__name__) if _REASONS[layer][1] else ""


def computed_message(name: str, kind: str) -> str:
    """Return why a layer of ``kind`` gets no mask on its weight ``name``, and what helps."""
    return (
        f"{name}: {kind} computes with another weight, made of this one in every forward pass, in "
        "which masked weights are not zero: a mask would have no effect; take a layer that uses "
        "its weight as it is, or exclude it from the masks"
    )


def loses_zeros(layer: nn.Module) -> bool:
    """Tell whether a layer, run alone on a small input, meets none of the zeros of its weight."""
    inputs = _inputs_of(layer)
    if inputs is None:
        return False
    try:
        return bool(weights_without_zeros(layer, (inputs,), ["weight"]))
    except CostModelError:
        return False


@torch.no_grad()
def weights_without_zeros(
    module: nn.Module, inputs: ExampleInputs, names: Iterable[str]
) -> list[str]:
    """Return those of ``names`` that have zeros which no operator of the network meets.

    Tensors of a class of their own are not tried: what is written into them cannot be put back.
    """
    names = [name for name in names if _is_plain(module.get_parameter(name))]
    called, given = by_position(module, inputs)
    with untouched(module):
        for parameter in module.parameters():
            # Also what starts at 0 and hides an addition, as adapters of low rank do.
            if parameter.is_floating_point() and _is_plain(parameter):
                parameter.uniform_(0.5, 1.5)
        for name in names:
            weight = module.get_parameter(name)
            weight.mul_(torch.arange(weight.numel(), device=weight.device).view_as(weight) % 2)
        computed = trace_weights(called, beside(called, *given)).computed
    return [name for name in names if name in computed]


def _is_plain(parameter: nn.Parameter) -> bool:
    return type(parameter) is nn.Parameter


def _inputs_of(layer: nn.Module) -> Tensor | None:
    """Return a small input of a layer with its own computation, or None if it is not to be tried.

    Hooks are a person's own: to run them would do more than to look.
    """
    reason = own_computation(layer)
    weight = layer._parameters.get("weight")
    if not reason or reason == "it has hooks" or weight is None:
        return None
    if weight.is_meta or not _is_plain(weight):
        return None
    if isinstance(layer, nn.Linear):
        return weight.new_zeros(1, layer.in_features)
    if not isinstance(layer, _Conv):
        return None
    sizes = zip(layer.kernel_size, layer.dilation, strict=True)
    return weight.new_zeros(1, layer.in_channels, *(1 + (k - 1) * d for k, d in sizes))


def matrix_layer(layer: nn.Module) -> Matrix:
    """Tell whether a layer of an own class multiplies by its one matrix, and which way round.

    Such a layer is a module without others inside, whose parameter ``weight`` is (out, in) or (in,
    out), and which does with it what a linear layer does: one product an input, nothing else. It is
    run on inputs of both sizes to see it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity.maskable import matrix_layer
        >>> class Conv1D(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(torch.ones(8, 4))
        ...     def forward(self, x):
        ...         return x @ self.weight
        >>> matrix_layer(Conv1D()), matrix_layer(nn.LayerNorm(4))
        ('in_out', '')
    """
    weight = layer._parameters.get("weight")
    if weight is None or nn.parameter.is_lazy(weight) or weight.is_meta or layer._modules:
        return ""
    if weight.ndim != 2 or not all(map(_is_plain, layer.parameters())):
        return ""
    if torchs_class(layer) is not nn.Module or not weight.is_floating_point() or _hooked(layer):
        return ""
    key = (weight.shape, type(layer))
    if layer not in _MATRICES or _MATRICES[layer][0] != key:
        _MATRICES[layer] = (key, _orientation(layer, weight))
    return _MATRICES[layer][1]


def _hooked(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


@torch.no_grad()
def _orientation(layer: nn.Module, weight: nn.Parameter) -> Matrix:
    if _is_product(layer, weight, 1):
        return "out_in"
    return "in_out" if _is_product(layer, weight, 0) else ""


def _is_product(layer: nn.Module, weight: nn.Parameter, summed: int) -> bool:
    """Tell whether entry i of axis ``summed`` meets entry i of the input, and it alone."""
    with untouched(layer):
        for parameter in layer.parameters():
            parameter.uniform_(0.5, 1.5)
        example = weight.new_zeros(1, weight.shape[summed])
        example[0, 0] = 1.0
        try:
            out, none = layer(example), layer(torch.zeros_like(example))
            work = trace_weights(layer, (example,))
        except Exception:  # whatever a class of somebody else's raises: then it is no such layer
            return False
        if not isinstance(out, Tensor) or out.shape != (1, weight.shape[1 - summed]):
            return False
        expected = weight.detach().select(summed, 0)
        return _once(work, weight) and torch.allclose((out - none)[0], expected, atol=1e-4)


def _once(work: WeightWork, weight: nn.Parameter) -> bool:
    only: Mapping[str, int] = work.macs_per_element
    return only.get("weight") == 1 and work.workload.dense_macs == weight.numel()
