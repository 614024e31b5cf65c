"""Sparse Wide: the whole network gets wider and sparse (arXiv 2303.11525, section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from growsearch.sparsity.layers import prunable_layers
from growsearch.sparsity.maskable import unmaskable_layers
from growsearch.transforms.expansion import ROUNDING_SLACK, Expansion, ExpansionRequest
from growsearch.transforms.replacement import draw_weights
from growsearch.transforms.targets import is_bare, is_depthwise, sparse_names
from growsearch.transforms.wide_widths import wide_widths
from search_spaces import ChannelGroup, channel_groups, resize
from search_spaces.channel_groups import frozen_member, frozen_tensors


def sparse_wide(request: ExpansionRequest) -> Expansion:
    """Widen every channel group by k_sw = sqrt(1 / (1 - s)), freshly initialised (He et al. 2015).

    Groups that frozen weights or weights without a mask hold keep their width. At s = 0 the network
    comes back as it is. The network's own activations stay, and ``request.activation`` changes
    nothing. Inside a network a depthwise convolution follows its channel group. On its own it gets
    1 / (1 - s) times the channels, one filter each, since its MACs grow with k and not with k^2
    (appendix A.1.1). A bare linear layer or convolution is widened on both sides.

    Raises:
        SearchSpaceError: if the module's channel groups are not known.
        UsageError: if a parameter is frozen: it would lose its values.
    """
    return widened(request)


def widened(request: ExpansionRequest, held: Iterable[str] = ()) -> Expansion:
    """Do as `sparse_wide`, and leave the groups of the weights ``held`` at their width as well."""
    module = request.module
    if request.sparsity == 0.0:
        return Expansion(module=module, sparse=())
    if is_bare(module):
        return _wide_layer(request, module)
    groups = _widening_groups(module, held)
    sizes = wide_widths(groups, request.sparsity, request.sizes.multiple) if groups else {}
    if any(sizes[group.name] != group.size for group in groups):
        frozen = {
            name: module.get_parameter(name).detach().clone() for name in frozen_tensors(module)
        }
        resize(module, sizes)
        draw_weights(module)
        with torch.no_grad():
            for name, value in frozen.items():
                module.get_parameter(name).copy_(value)
    return Expansion(module=module, sparse=sparse_names(request))


def _widening_groups(module: nn.Module, held: Iterable[str]) -> tuple[ChannelGroup, ...]:
    """Return the groups that get wider: all but those of frozen, ``held`` and unmasked weights.

    What reads channels without a mask (torch's attention reads its projections so) would pay for
    the width in full.
    """
    groups, frozen = channel_groups(module), frozen_tensors(module)
    inputs = {layer.name: 0 if layer.is_transposed else 1 for layer in prunable_layers(module)}
    dear = {
        member.tensor
        for group in groups
        for member in group.members
        # A weight that a function reads the other way round is no layer's that could be masked.
        if member.reads and member.axis != inputs.get(member.tensor)
    }
    dear |= {*unmaskable_layers(module), *held}
    return tuple(
        group
        for group in groups
        if frozen_member(group, frozen) is None
        and not any(member.tensor in dear for member in group.members)
    )


def _wide_layer(request: ExpansionRequest, layer: nn.Linear | nn.Conv2d) -> Expansion:
    wide = _wider(layer, request.expansion, request.sizes.multiple).to(
        layer.weight.device, layer.weight.dtype
    )
    draw_weights(wide)
    return Expansion(module=wide, sparse=("weight",))


def _wider(layer: nn.Linear | nn.Conv2d, expansion: float, multiple: int) -> nn.Linear | nn.Conv2d:
    factor = expansion if is_depthwise(layer) else math.sqrt(expansion)

    def scaled(size: int) -> int:
        if multiple > 1:
            return max(1, round(size * factor / multiple)) * multiple
        return math.floor(size * factor + ROUNDING_SLACK)

    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(scaled(layer.in_features), scaled(layer.out_features), bias=bias)
    groups = scaled(layer.groups) if is_depthwise(layer) else layer.groups
    per_group = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    inputs, outputs = per_group if is_depthwise(layer) else map(scaled, per_group)
    return nn.Conv2d(
        inputs * groups,
        outputs * groups,
        layer.kernel_size,  # type: ignore[arg-type]
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
        groups=groups,
        bias=bias,
        padding_mode=layer.padding_mode,
    )
