"""Factorized layer V^T act(U^T z), which two transforms share."""

from __future__ import annotations

from torch import Tensor, nn

from growsearch.transforms.activation import activation_for
from growsearch.transforms.replacement import StandIn, like, pointwise, widths
from growsearch.transforms.targets import Layer


class FactorizedLayer(StandIn):
    """V^T act(U^T z): ``down`` (U) has ``rank`` outputs, ``up`` (V) the layer's own.

    A convolution's U keeps kernel, stride and padding; its V is a 1 x 1 convolution (appendix A.1).
    """

    def __init__(self, layer: Layer, *, rank: int, activation: bool, sparse: bool) -> None:
        super().__init__(layer)
        inputs, outputs = widths(layer)
        self.down = like(layer, inputs, rank, bias=False)
        self.activation = activation_for(layer, rank) if activation else nn.Identity()
        self.up = pointwise(layer, rank, outputs, bias=layer.bias is not None)
        self._sparse = sparse

    def forward(self, x: Tensor) -> Tensor:
        """Apply U, act and V."""
        out: Tensor = self.up(self.activation(self.down(x)))
        return out

    def sparse_layers(self) -> tuple[nn.Module, ...]:
        """Return U and V, or nothing for a dense factorisation."""
        return (self.down, self.up) if self._sparse else ()
