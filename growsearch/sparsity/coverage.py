"""Coverage of masks: which share of all that a network multiplies by can they touch at all?"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

from torch import nn

import cost_models
from growsearch.metrics.placement import beside
from growsearch.sparsity.layers import prunable_layers
from growsearch.sparsity.masks import Masks
from search_spaces.own_networks.keyword_inputs import ExampleInputs, by_position

_LOG = logging.getLogger(__name__)
# Below this share of the matrix weights under masks it is said how far a sparsity reaches.
_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Weights of products (convolutions, products of matrices), those under masks, and zeros there.

    A sparsity is of the ``masked`` ones; ``matrix`` are all that the network multiplies by,
    whatever its classes and functions are.

    Example:
        >>> from growsearch.sparsity.coverage import Coverage
        >>> print(Coverage(masked=2_000, zeros=1_600, matrix=40_000).summary)
        masks touch 5.0 % of the 40,000 matrix weights: 80.0 % of them are zero, 4.0 % of all
    """

    masked: int
    zeros: int
    matrix: int

    @property
    def share(self) -> float:
        """The share of the matrix weights under masks."""
        return self.masked / self.matrix if self.matrix else 0.0

    @property
    def summary(self) -> str:
        """Say in a line what masks touch and how much of it is zero."""
        of_masked = self.zeros / self.masked if self.masked else 0.0
        return (
            f"masks touch {_percent(self.share)} of the {self.matrix:,} matrix weights: "
            f"{_percent(of_masked)} of them are zero, {_percent(of_masked * self.share)} of all"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def mask_coverage(module: nn.Module, example_inputs: ExampleInputs) -> Coverage:
    """Return what the masks of ``module`` cover; it is run once, and left as it was.

    Args:
        module: with masks or without.
        example_inputs: positional inputs, or inputs by the names of arguments, batch first.

    Raises:
        CostModelError: if the module cannot be traced.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import mask_coverage, sparsify
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
        >>> draw = torch.Generator().manual_seed(0)
        >>> _ = sparsify(module, sparsity=0.5, generator=draw, exclude=["1.weight"])
        >>> mask_coverage(module, (torch.zeros(1, 8),)).share
        0.8
    """
    masks = Masks.of(module)
    matrix = _matrix_weights(module, example_inputs)
    return Coverage(masked=masks.weights, zeros=masks.zeros, matrix=matrix)


def maskable_note(module: nn.Module, example_inputs: ExampleInputs) -> str:
    """Say what masks cannot touch of a network that has none yet; "" where it is hardly anything.

    Raises:
        CostModelError: if the module cannot be traced.
        UsageError: if no layer of it could have a mask.
    """
    masked = sum(layer.weights for layer in prunable_layers(module))
    matrix = _matrix_weights(module, example_inputs)
    if masked >= _NEARLY_ALL * matrix:
        return ""
    return (
        f"masks can touch {_percent(masked / matrix)} of its {matrix:,} matrix weights, and a "
        "sparsity is of these alone"
    )


def _matrix_weights(module: nn.Module, example_inputs: ExampleInputs) -> int:
    called, inputs = by_position(module, example_inputs)
    work = cost_models.trace_weights(called, beside(called, *inputs))
    return sum(
        parameter.numel()
        for name, parameter in module.named_parameters()
        if parameter.ndim > 1 and (work.macs_per_element[name] or name in work.computed)
    )


def tell_coverage(module: nn.Module, example_inputs: ExampleInputs) -> None:
    """Log once a process how far the sparsity of ``module`` reaches, where that is not all."""
    found = mask_coverage(module, example_inputs)
    if found.share < _NEARLY_ALL:
        _tell(type(module).__name__, found.summary)


@functools.cache
def _tell(network: str, summary: str) -> None:
    _LOG.warning("%s: %s", network, summary)
