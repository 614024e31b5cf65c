"""Gradual magnitude pruning: dense first, the smallest weights go on a schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.sparsity.dynamic.schedule import PruningSchedule
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.dynamic.updater import Connections
from growsearch.sparsity.patterns import highest


@dataclass(frozen=True, slots=True, kw_only=True)
class GradualMagnitudePruning:
    """Prunes to ``schedule`` by magnitude over all masked layers (arXiv 1710.01878).

    The threshold is global, as in GraNet, where Zhu & Gupta prune each layer alike. Pruned weights
    never come back. A `CubicSchedule`'s sparsity is that of the masked layers; see
    `masked_sparsity`.
    """

    schedule: PruningSchedule

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

    @property
    def planned_for(self) -> Timetable | None:
        """The schedule's run."""
        return self.schedule.planned_for

    def update(
        self,
        layers: Mapping[str, Connections],
        progress: float,
        generator: torch.Generator,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return masks with the schedule's zeros, or more if there are more now."""
        return prune_globally(layers, self.schedule, progress)


def prune_globally(
    layers: Mapping[str, Connections], schedule: PruningSchedule, progress: float
) -> dict[str, Tensor]:
    """Keep as many of each layer's largest active weights as ``schedule`` says.

    Masked weights stay masked: masks that are sparser already come back unchanged.
    """
    scores = {
        name: layer.weight.detach().abs().masked_fill(~layer.mask, -math.inf)
        for name, layer in layers.items()
    }
    kept = schedule.kept(scores, progress)
    return {name: highest(score, kept[name]) for name, score in scores.items()}
