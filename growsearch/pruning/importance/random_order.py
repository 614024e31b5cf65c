"""Random importance, a baseline: an order that is drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from growsearch.pruning.importance.importance import Judged, PruneTask


class RandomImportance:
    """Draws a number for every structure once, and keeps it over all steps."""

    def __init__(self, task: PruneTask) -> None:
        total = task.projection.structures.total
        self._order = torch.rand(total, generator=task.generator, dtype=torch.float64)

    def scores(self, judged: Judged) -> Tensor:
        """Return the drawn numbers of what is live."""
        return self._order * judged.live
