"""Layers that a transform works on: all but the first and the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from cost_models.counting.module_state import untouched
from growsearch.errors import UsageError
from growsearch.sparsity.layers import prunable_layers, weighted_layers
from growsearch.transforms.expansion import ExpansionRequest
from search_spaces.channel_groups import DeclaresChannelGroups, channel_groups
from search_spaces.own_networks.keyword_inputs import tensors_given
from search_spaces.own_networks.plain_layers import own_computation

Layer = nn.Conv2d | nn.Linear


def is_depthwise(layer: nn.Module) -> bool:
    """Tell whether ``layer`` is a convolution with one group an input channel."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def sparse_names(request: ExpansionRequest) -> tuple[str, ...]:
    """Return the weights between the dense ends, by parameter name in module order.

    The first layer is the first embedding, convolution or linear layer in the order of
    registration: behind an embedding every linear layer is an inner one. A weight that an
    embedding shares stays dense, and so does a frozen one (requires_grad=False). A module that is a
    single layer has no ends.

    Raises:
        UsageError: if nothing is left between the ends.

    Example:
        >>> from torch import nn
        >>> from growsearch.transforms import ExpansionRequest, sparse_names
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        >>> sparse_names(ExpansionRequest(module=module, sparsity=0.5))
        ('1.weight',)
    """
    module = request.module
    names = [layer.name for layer in prunable_layers(module)]
    embeddings = {id(e.weight) for e in module.modules() if isinstance(e, nn.Embedding)}
    ends = _ends(module) if request.dense_ends else frozenset[str]()
    weights = dict(module.named_parameters(remove_duplicate=False))
    free = [n for n in names if weights[n].requires_grad and id(weights[n]) not in embeddings]
    inner = tuple(name for name in free if name not in ends)
    if not inner:
        raise UsageError(
            f"{type(module).__name__} has no layer between its first and its last, which stay "
            "dense, as frozen ones do; give a deeper network or dense_ends=False"
        )
    return inner


def _ends(module: nn.Module) -> frozenset[str]:
    names = weighted_layers(module)
    if names == ("weight",):
        return frozenset()
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            return frozenset(names[-1:])
        if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear)):
            break
    return frozenset((names[0], names[-1]))


def inner_layers(request: ExpansionRequest) -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) of every inner Conv2d and Linear that is not depthwise or grouped.

    Depthwise layers stay as they are (arXiv 2303.11525, appendix A.1.1), and so do grouped ones:
    they are structured sparsity already. Torch's attention reads the weight of its projection and
    does not call it: that stays one layer. So do those that the request names (`Sizes.whole`),
    layers that share a weight, which would be torn apart, and layers with a computation of their
    own, which others could not take over.
    """
    read = {m.out_proj for m in request.module.modules() if isinstance(m, nn.MultiheadAttention)}
    holders = Counter(id(p) for m in request.module.modules() for p in m._parameters.values())
    for name in sparse_names(request):
        path = _path(name)
        if path in request.sizes.whole:
            continue
        layer = request.module.get_submodule(path)
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or own_computation(layer):
            continue
        one = layer not in read and holders[id(layer.weight)] == 1
        if one and (isinstance(layer, nn.Linear) or layer.groups == 1):
            yield path, layer


def own_layers(request: ExpansionRequest) -> dict[str, str]:
    """Return the inner layers that stay as they are for a computation of their own, and why."""
    layers = {
        _path(name): request.module.get_submodule(_path(name)) for name in sparse_names(request)
    }
    return {
        path: f"{reason}, which no layer in its place would have; give it a layer of torch's own"
        for path, layer in layers.items()
        if (reason := own_computation(layer))
    }


def fed_by_parameters(request: ExpansionRequest, inputs: tuple[Tensor, ...]) -> dict[str, str]:
    """Return the inner layers that run on one row which no input changes, and why they stay.

    Such a layer makes weights for others (a hypernetwork): it has that one row whatever the number
    of examples. The BatchNorm of a transform would take its statistics over that row alone.

    Raises:
        UsageError: if there is no other layer: all would be looked for in vain.
    """
    layers = dict(inner_layers(request))
    rows = _inputs_of(request.module, layers, inputs) if layers else {}
    alone = {
        path: layer
        for path, layer in layers.items()
        if rows[path] and all(each.shape[:-1].numel() == 1 for each in rows[path])
    }
    if not alone:
        return {}
    twice = tuple(torch.cat((each, each)) for each in inputs)
    again = _inputs_of(request.module, alone, twice)
    reasons = {
        path: f"{path}.weight: its layer runs on one row that does not depend on the inputs, so "
        "that no BatchNorm can stand behind it; take sparse_wide or no transform for it"
        for path in alone
        if all(each.shape[:-1].numel() == 1 for each in again[path])
    }
    if len(reasons) == len(layers):
        raise UsageError(next(iter(reasons.values())))
    return reasons


def _inputs_of(
    module: nn.Module, layers: Mapping[str, Layer], given: tuple[Tensor, ...]
) -> dict[str, list[Tensor]]:
    """Return what each linear one of ``layers`` is given in a run of the module."""
    found: dict[str, list[Tensor]] = {path: [] for path in layers}
    handles = []
    for path, layer in layers.items():
        if isinstance(layer, nn.Linear):

            def note(
                _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], path: str = path
            ) -> None:
                found[path] += [x.detach().clone() for x in tensors_given(args, kwargs)[:1]]

            handles.append(layer.register_forward_pre_hook(note, with_kwargs=True))
    try:
        with untouched(module), torch.no_grad():
            module(*given)
    finally:
        for handle in handles:
            handle.remove()
    return found


def weights_read(module: nn.Module) -> frozenset[str]:
    """Return the weights that are known to be read along the inputs of their layer.

    The channel groups that a network declares say so, whether the layer or a function reads them.
    A function that reads one the other way round uses no layer's weight.
    """
    if not isinstance(module, DeclaresChannelGroups):
        return frozenset()
    inputs = {layer.name: 0 if layer.is_transposed else 1 for layer in prunable_layers(module)}
    reads: dict[str, set[int]] = {}
    for group in channel_groups(module):
        for member in group.members:
            if member.reads:
                reads.setdefault(member.tensor, set()).add(member.axis)
    return frozenset(name for name, axes in reads.items() if axes == {inputs.get(name)})


def is_bare(module: nn.Module) -> TypeGuard[Layer]:
    """Tell whether ``module`` is a single layer of torch's own computation, and not a network."""
    return isinstance(module, (nn.Linear, nn.Conv2d)) and not own_computation(module)


def _path(weight: str) -> str:
    return weight.removesuffix("weight").removesuffix(".")
