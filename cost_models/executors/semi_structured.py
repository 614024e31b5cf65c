"""Semi-structured (2:4) linear layers for a GPU's sparse tensor cores: which fit, and how?"""

import warnings

import torch
from torch import Tensor, nn

from cost_models.counting.sparsity_pattern import NOfMWeight, holds

TWO_OF_FOUR = NOfMWeight(2, 4)
# What torch asks of a float16 weight, for whichever of its two backends is present.
_ROWS, _COLUMNS = 32, 64


def is_eligible(layer: nn.Module) -> bool:
    """Say whether a layer is a plain linear one whose weight (out, in) is 2:4 and of a legal size.

    Legal sizes are multiples of 32 rows and 64 columns.
    """
    if type(layer) is not nn.Linear or "forward" in vars(layer):
        return False
    weight = layer.weight
    fits = weight.shape[0] % _ROWS == 0 and weight.shape[1] % _COLUMNS == 0
    return fits and holds(TWO_OF_FOUR, weight)


def eligible_layers(module: nn.Module) -> list[str]:
    """Name the layers that can run 2:4, in module order."""
    return [name for name, layer in module.named_modules() if is_eligible(layer)]


def compress(module: nn.Module) -> dict[str, str]:
    """Replace eligible weights, on a GPU in float16, by compressed ones, in place.

    Gives what became of each linear layer: "2:4" or "dense", by name.
    """
    choices = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear):
            choices[name] = "2:4" if is_eligible(layer) else "dense"
            if choices[name] == "2:4":
                weight = _compressed(layer.weight.detach())
                layer.weight = nn.Parameter(weight, requires_grad=False)
    return choices


def _compressed(weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # "prototype"
        return torch.sparse.to_sparse_semi_structured(weight.contiguous())
