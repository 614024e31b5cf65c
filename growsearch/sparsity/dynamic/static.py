"""Static masks: what was drawn at initialisation stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.dynamic.updater import Connections


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticMasks:
    """The masks never change (arXiv 2202.02643)."""

    @property
    def until(self) -> float:
        """No step updates the masks."""
        return 0.0

    @property
    def replaces_update(self) -> bool:
        """Weights are updated at every step."""
        return False

    @property
    def needs_gradients(self) -> bool:
        """Dense gradients are of no use here."""
        return False

    @property
    def planned_for(self) -> Timetable | None:
        """Any run."""
        return None

    def update(
        self,
        layers: Mapping[str, Connections],
        progress: float,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return copies of the masks as they are."""
        return {name: layer.mask.clone() for name, layer in layers.items()}
