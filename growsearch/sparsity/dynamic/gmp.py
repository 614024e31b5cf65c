"""Gradual magnitude pruning: dense first, the smallest weights go on a cubic schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.sparsity.dynamic.schedule import CubicSchedule
from growsearch.sparsity.dynamic.updater import Connections
from growsearch.sparsity.patterns import highest


@dataclass(frozen=True, slots=True, kw_only=True)
class GradualMagnitudePruning:
    """Prunes to ``schedule``'s sparsity by magnitude over all masked layers (arXiv 1710.01878).

    The threshold is global, as in GraNet, where Zhu & Gupta prune each layer alike. Pruned weights
    never come back. The sparsity is that of the masked layers; see `masked_sparsity`.
    """

    schedule: CubicSchedule

    @property
    def until(self) -> float:
        """Pruning is over at the end of training at the latest."""
        return 1.0

    @property
    def replaces_update(self) -> bool:
        """Weights take their step first."""
        return False

    @property
    def needs_gradients(self) -> bool:
        """Magnitudes are enough."""
        return False

    def update(
        self,
        layers: Mapping[str, Connections],
        progress: float,
        generator: torch.Generator,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return masks with round(weights x s(t)) zeros in all, or more if there are more now."""
        return prune_globally(layers, self.schedule.sparsity_at(progress))


def prune_globally(layers: Mapping[str, Connections], sparsity: float) -> dict[str, Tensor]:
    """Keep the largest active weights of all layers together so that the whole is ``sparsity``.

    Masked weights stay masked: masks that are sparser already come back unchanged.
    """
    weights = sum(layer.mask.numel() for layer in layers.values())
    scores = torch.cat(
        [
            layer.weight.detach().abs().masked_fill(~layer.mask, -1.0).flatten()
            for layer in layers.values()
        ]
    )
    active = int(torch.count_nonzero(scores >= 0))
    chosen = highest(scores, min(active, weights - round(weights * sparsity)))
    parts = torch.split(chosen, [layer.mask.numel() for layer in layers.values()])
    return {
        name: part.view(layer.mask.shape)
        for (name, layer), part in zip(layers.items(), parts, strict=True)
    }
