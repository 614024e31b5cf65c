"""How do a transform's new layers get weights that no count of zeros mistakes for masked ones?"""

from __future__ import annotations

import torch
from torch import nn

from search_spaces.fresh_weights import initialise_network

# One normal draw in some ten million is exactly 0 in single precision.
_IN_PLACE_OF_ZERO = 1e-8


@torch.no_grad()
def draw_weights(module: nn.Module) -> None:
    """Initialise ``module`` (see `initialise_network`), with no weight at exactly 0."""
    initialise_network(module)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.masked_fill_(parameter == 0, _IN_PLACE_OF_ZERO)
