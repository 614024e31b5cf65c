"""Sparse Factorized: every layer becomes V^T act(U^T z) with both factors sparse (section 2.2)."""

from __future__ import annotations

import math

from torch import nn

from growsearch.transforms.expansion import ROUNDING_SLACK, Expansion, ExpansionRequest
from growsearch.transforms.factorized import FactorizedLayer
from growsearch.transforms.replacement import matrix_shape, replace_layers
from growsearch.transforms.targets import Layer


def sparse_factorized(request: ExpansionRequest) -> Expansion:
    """Give every inner layer d_sf = Din Dout / ((Din + Dout)(1 - s)) hidden channels, rounded up.

    Where a pattern asks for a multiple, they are rounded to the nearest one. At s = 0 this is the
    dense non-linear low-rank form, not the layer itself. Depthwise and grouped convolutions stay as
    they are. Paper: arXiv 2303.11525, section 2.2.
    """

    def make(_: str, layer: Layer) -> nn.Module:
        d_in, d_out = matrix_shape(layer)
        hidden = d_in * d_out / (d_in + d_out) * request.expansion
        multiple = request.sizes.multiple
        if multiple > 1:
            rank = max(1, round(hidden / multiple)) * multiple
        else:
            rank = math.ceil(hidden - ROUNDING_SLACK)
        return FactorizedLayer(layer, rank=rank, activation=request.activation, sparse=True)

    return replace_layers(request, make)
