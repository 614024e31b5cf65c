"""Low rank: the dense baseline, a wider network of products U V^T (arXiv 2303.11525, table 10)."""

from __future__ import annotations

import dataclasses
import math

from torch import nn

from growsearch.transforms.expansion import Expansion, ExpansionRequest
from growsearch.transforms.factorized import FactorizedLayer
from growsearch.transforms.replacement import matrix_shape, replace_layers
from growsearch.transforms.sparse_wide import widened
from growsearch.transforms.targets import Layer, inner_layers, own_layers


def low_rank(request: ExpansionRequest) -> Expansion:
    """Widen by k_lr = sqrt(1 / (1 - s)) and give every inner layer the rank of equal MACs.

    The rank solves (k Din + k Dout) rank = Din Dout for the layer's sizes before (Din, Dout) and
    after widening, rounded to the nearest. (The paper prints Din Dout k / (Din + Dout), which would
    cost k^2 times the dense MACs; its code divides by k.) Nothing is masked. These ranks do not
    pay for the widened dense ends; `matching_ranks` gives ``request.sizes`` ranks that do.
    """
    ranks = request.sizes.ranks
    dense_weights = {path: math.prod(matrix_shape(layer)) for path, layer in inner_layers(request)}
    # What cannot be a product of low rank would pay for its width in full.
    held = [f"{path}.weight" if path else "weight" for path in own_layers(request)]
    wide = widened(request, held)

    def make(path: str, layer: Layer) -> nn.Module:
        nearest = max(1, round(dense_weights[path] / sum(matrix_shape(layer))))
        rank = nearest if ranks is None else ranks[path]
        return FactorizedLayer(layer, rank=rank, activation=request.activation, sparse=False)

    return replace_layers(dataclasses.replace(request, module=wide.module), make)
