"""Contract of a layer-wise sparsity distribution: the request, the data and the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.errors import UsageError
from growsearch.sparsity.layers import (
    PrunableLayer,
    check_excluded,
    frozen_weights,
    prunable_layers,
)
from growsearch.sparsity.maskable import unmaskable_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Data for the distributions that look at it: inputs (N, ...) and integer labels (N,).

    ``loss`` maps (outputs, labels) to a scalar. SynFlow reads only the shape of one input.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import Batch, layer_zero_counts
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> batch = Batch(inputs=torch.ones(3, 8), labels=torch.tensor([0, 1, 0]))
        >>> sum(layer_zero_counts(module, 0.5, "snip", batch=batch).values())
        20
    """

    inputs: Tensor
    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsityRequest:
    """What is asked: this sparsity over all ``layers``, with the excluded ones dense.

    Frozen layers (requires_grad=False) are excluded, and the sparsity is that of the others.
    """

    module: nn.Module
    layers: tuple[PrunableLayer, ...]
    sparsity: float
    excluded: frozenset[str]
    batch: Batch | None

    @classmethod
    def of(
        cls, module: nn.Module, sparsity: float, exclude: Iterable[str], batch: Batch | None
    ) -> SparsityRequest:
        """Check the arguments and collect the module's layers.

        Raises:
            UsageError: for a sparsity outside [0, 1), an unknown name in ``exclude``, or a module
                without prunable layers.
        """
        if not 0.0 <= sparsity < 1.0:
            raise UsageError(f"sparsity: {sparsity} is outside [0, 1)")
        layers = prunable_layers(module)
        excluded = check_excluded(layers, exclude, unmaskable_layers(module))
        # Excluded by hand or not: others do not pay for what is frozen.
        frozen = frozenset(frozen_weights(module))
        weights = {layer.name: layer.weights for layer in layers}
        free = sum(count for name, count in weights.items() if name not in frozen)
        return cls(
            module=module,
            layers=layers,
            sparsity=sparsity * free / sum(weights.values()) if frozen else sparsity,
            excluded=excluded | frozen,
            batch=batch,
        )

    @property
    def weights(self) -> int:
        """All prunable weights, those of excluded layers included."""
        return sum(layer.weights for layer in self.layers)

    @property
    def zeros(self) -> int:
        """The number of weights to be zero: round(weights x sparsity)."""
        return round(self.weights * self.sparsity)

    @property
    def nonzeros(self) -> int:
        """The number of weights that stay."""
        return self.weights - self.zeros

    @property
    def floors(self) -> dict[str, float]:
        """Density 1 for every excluded layer."""
        return dict.fromkeys(self.excluded, 1.0)


class Distribution(Protocol):
    """Gives every prunable layer its density; excluded layers get 1.

    The densities times the layers' weights sum to weights x (1 - sparsity).
    """

    def __call__(self, request: SparsityRequest) -> dict[str, float]:
        """Return densities in [0, 1] by parameter name, in module order."""
        ...


def last_linear(request: SparsityRequest, method: str) -> PrunableLayer:
    """Return the last fully connected layer.

    Raises:
        UsageError: if there is none.
    """
    for layer in reversed(request.layers):
        if layer.is_linear:
            return layer
    raise UsageError(
        f"distribution: {method} needs a fully connected layer, which "
        f"{type(request.module).__name__} does not have; use erk or uniform"
    )
