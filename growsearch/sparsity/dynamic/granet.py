"""GraNet: gradual magnitude pruning, with RigL's redistribution after every pruning step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.sparsity.dynamic.drop_and_grow import check_share
from growsearch.sparsity.dynamic.gmp import prune_globally
from growsearch.sparsity.dynamic.redistribution import redistribute
from growsearch.sparsity.dynamic.schedule import PruningSchedule
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.dynamic.updater import Connections, gradient_magnitude, magnitude
from growsearch.sparsity.patterns import Unstructured


@dataclass(frozen=True, slots=True, kw_only=True)
class GraNet:
    """Global magnitude pruning to the schedule, then drop and grow by gradient in every layer.

    Liu et al. 2021, arXiv 2106.10404, algorithm 1. The rate of dropping falls from ``alpha`` to
    ``last_alpha`` on a cosine over the whole run. A `CubicSchedule`'s sparsity is that of the
    masked layers; see `masked_sparsity`.
    """

    schedule: PruningSchedule
    alpha: float = 0.5
    last_alpha: float = 0.005

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        check_share("last_alpha", self.last_alpha)

    @property
    def until(self) -> float:
        """Connections are redistributed to the end of training."""
        return 1.0

    @property
    def replaces_update(self) -> bool:
        """Weights take their step first."""
        return False

    @property
    def needs_gradients(self) -> bool:
        """Connections are grown by gradient."""
        return True

    @property
    def planned_for(self) -> Timetable | None:
        """The schedule's run."""
        return self.schedule.planned_for

    def update(
        self, layers: Mapping[str, Connections], progress: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return masks at the schedule's sparsity, redistributed inside every layer."""
        pruned = prune_globally(layers, self.schedule, progress)
        span = (self.alpha - self.last_alpha) / 2
        fraction = self.last_alpha + span * (1 + math.cos(math.pi * progress))
        masks = {}
        for name, mask in pruned.items():
            layer = dataclasses.replace(layers[name], mask=mask)
            masks[name] = redistribute(
                mask,
                magnitude(layer, generator),
                gradient_magnitude(layer, generator),
                fraction,
                Unstructured(),
            )
        return masks
