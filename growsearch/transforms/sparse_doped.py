"""Sparse Doped: a dense low-rank path plus a sparse layer (arXiv 2303.11525, section 2.2)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from growsearch.transforms.activation import activation_for
from growsearch.transforms.expansion import ROUNDING_SLACK, Expansion, ExpansionRequest
from growsearch.transforms.replacement import (
    StandIn,
    like,
    matrix_shape,
    pointwise,
    replace_layers,
    widths,
)
from growsearch.transforms.targets import Layer


class DopedLayer(StandIn):
    """V^T (U^T z) + act(theta^T z): U (``down``) and V (``up``) dense, theta sparse."""

    def __init__(self, layer: Layer, *, rank: int, activation: bool) -> None:
        super().__init__(layer)
        inputs, outputs = widths(layer)
        self.down = like(layer, inputs, rank, bias=False)
        self.up = pointwise(layer, rank, outputs, bias=layer.bias is not None)
        self.theta = like(layer, inputs, outputs, bias=False)
        self.activation = activation_for(layer, outputs) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Add the low-rank path and the activated sparse one."""
        out: Tensor = self.up(self.down(x)) + self.activation(self.theta(x))
        return out

    def sparse_layers(self) -> tuple[nn.Module, ...]:
        """Return theta alone: masking U and V too would take the MACs far below the dense ones."""
        return (self.theta,)


def sparse_doped(request: ExpansionRequest) -> Expansion:
    """Give every inner layer a dense path of rank d_sd = s Din Dout / (Din + Dout), rounded down.

    The rank is at least 1. Depthwise and grouped convolutions stay as they are. At s = 0 the
    network comes back as it is.
    """
    if request.sparsity == 0.0:
        return Expansion(module=request.module, sparse=())

    def make(_: str, layer: Layer) -> nn.Module:
        d_in, d_out = matrix_shape(layer)
        rank = max(1, math.floor(request.sparsity * d_in * d_out / (d_in + d_out) + ROUNDING_SLACK))
        return DopedLayer(layer, rank=rank, activation=request.activation)

    return replace_layers(request, make)
