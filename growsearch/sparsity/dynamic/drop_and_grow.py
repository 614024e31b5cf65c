"""SET and RigL: mask updaters that drop weak connections and grow others.

They differ in their grow score: chance for SET, the gradient of masked weights for RigL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from growsearch.errors import UsageError
from growsearch.sparsity.dynamic.redistribution import cosine_fraction, redistribute
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.dynamic.updater import (
    Connections,
    gradient_magnitude,
    magnitude,
    random_score,
)
from growsearch.sparsity.patterns import Pattern, Unstructured

ConnectionScore = Callable[[Connections, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropAndGrow:
    """Drops the share f(t) of each layer's connections by magnitude and grows as many by ``grow``.

    Args:
        grow: scores connections; the highest are grown.
        needs_gradients: whether ``grow`` reads gradients.
        replaces_update: whether a mask update takes the place of the weight update.
        alpha: f(0), the share dropped at the first update, in (0, 1].
        until: T_end as a share of training; f falls to 0 there on a cosine.
        pattern: which sets of weights may be active together.
    """

    grow: ConnectionScore
    needs_gradients: bool
    replaces_update: bool
    alpha: float = 0.3
    until: float = 0.75
    pattern: Pattern = field(default_factory=Unstructured)

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        check_share("until", self.until)

    @property
    def planned_for(self) -> Timetable | None:
        """Any run."""
        return None

    def update(
        self, layers: Mapping[str, Connections], progress: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the new masks; each layer keeps its number of active weights."""
        fraction = cosine_fraction(progress, self.alpha, self.until)
        return {
            name: redistribute(
                layer.mask,
                magnitude(layer, generator),
                self.grow(layer, generator),
                fraction,
                self.pattern,
            )
            for name, layer in layers.items()
        }


def set_updater(
    *, alpha: float = 0.3, until: float = 0.75, pattern: Pattern | None = None
) -> DropAndGrow:
    """Return SET (arXiv 1707.04780): connections are regrown at random after the weights' step."""
    return DropAndGrow(
        grow=random_score,
        needs_gradients=False,
        replaces_update=False,
        alpha=alpha,
        until=until,
        pattern=pattern or Unstructured(),
    )


def rigl_updater(
    *, alpha: float = 0.3, until: float = 0.75, pattern: Pattern | None = None
) -> DropAndGrow:
    """Return RigL (arXiv 1911.11134, algorithm 1): connections are regrown by their gradient.

    A mask update takes the place of that step's weight update.
    """
    return DropAndGrow(
        grow=gradient_magnitude,
        needs_gradients=True,
        replaces_update=True,
        alpha=alpha,
        until=until,
        pattern=pattern or Unstructured(),
    )


def check_share(name: str, value: float) -> None:
    """Raise UsageError unless ``value`` lies in (0, 1]."""
    if not 0.0 < value <= 1.0:
        raise UsageError(f"{name}: {value} is outside (0, 1]")
