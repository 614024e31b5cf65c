"""Sparse Parallel: every layer becomes a sum of sparse branches (arXiv 2303.11525, section 2.2)."""

from __future__ import annotations

from torch import Tensor, nn

from growsearch.transforms.activation import activation_for
from growsearch.transforms.expansion import Expansion, ExpansionRequest
from growsearch.transforms.replacement import StandIn, like, replace_layers, widths
from growsearch.transforms.targets import Layer


class ParallelLayer(StandIn):
    """sum_j act(theta_j^T z), or sum_j theta_j^T z plus the layer's bias without activation."""

    def __init__(self, layer: Layer, *, branches: int, activation: bool) -> None:
        super().__init__(layer)
        inputs, outputs = widths(layer)
        has_bias = layer.bias is not None and not activation
        # One bias is enough for a sum; BatchNorm's shift takes its place in act.
        self.branches = nn.ModuleList(
            like(layer, inputs, outputs, bias=has_bias and j == 0) for j in range(branches)
        )
        self.activations = nn.ModuleList(
            activation_for(layer, outputs) if activation else nn.Identity() for _ in range(branches)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply every branch to ``x`` and add up."""
        first, *others = (
            activation(branch(x))
            for branch, activation in zip(self.branches, self.activations, strict=True)
        )
        out: Tensor = first
        for other in others:
            out = out + other
        return out

    def sparse_layers(self) -> tuple[nn.Module, ...]:
        """Return all branches."""
        return tuple(self.branches)


def sparse_parallel(request: ExpansionRequest) -> Expansion:
    """Replace every inner layer by k_sp = 1 / (1 - s) branches, rounded to the nearest.

    Depthwise and grouped convolutions stay as they are. At s = 0 the network comes back as it is.
    """
    if request.sparsity == 0.0:
        return Expansion(module=request.module, sparse=())
    branches = round(request.expansion)

    def make(_: str, layer: Layer) -> nn.Module:
        return ParallelLayer(layer, branches=branches, activation=request.activation)

    return replace_layers(request, make)
