"""Sparse Wide: the whole network gets wider and sparse (arXiv 2303.11525, section 2.2)."""

from __future__ import annotations

import math

from torch import nn

from growsearch.errors import UsageError
from growsearch.transforms.expansion import ROUNDING_SLACK, Expansion, ExpansionRequest
from growsearch.transforms.replacement import draw_weights
from growsearch.transforms.targets import is_depthwise, sparse_names
from growsearch.transforms.wide_widths import wide_widths
from search_spaces import channel_groups, resize


def sparse_wide(request: ExpansionRequest) -> Expansion:
    """Widen every channel group by k_sw = sqrt(1 / (1 - s)), freshly initialised (He et al. 2015).

    At s = 0 the network comes back as it is. The network's own activations stay, and
    ``request.activation`` changes nothing. Inside a network a depthwise convolution follows its
    channel group. On its own it gets 1 / (1 - s) times the channels, one filter each, since its
    MACs grow with k and not with k^2 (appendix A.1.1). A bare linear layer or convolution is
    widened on both sides.

    Raises:
        SearchSpaceError: if the module's channel groups are not known.
        UsageError: if a parameter is frozen: it would lose its values.
    """
    module = request.module
    if request.sparsity == 0.0:
        return Expansion(module=module, sparse=())
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        return _wide_layer(request, module)
    groups = channel_groups(module)
    sizes = wide_widths(groups, request.sparsity, request.sizes.multiple)
    if any(sizes[group.name] != group.size for group in groups):
        _check_not_frozen(module)
        resize(module, sizes)
        draw_weights(module)
    return Expansion(module=module, sparse=sparse_names(request))


def _check_not_frozen(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            raise UsageError(
                f"{type(module).__name__}: {name} is frozen (requires_grad=False), and a wider "
                "network draws its values afresh; take a transform that changes no width, such as "
                "sparse_parallel, or let it be trained"
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
