"""Contract of a mask updater: weights, gradients and masks in, new masks out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from growsearch.errors import UsageError
from growsearch.sparsity.dynamic.timetable import Timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """One masked layer at a mask update; the three tensors share one shape.

    ``gradient`` is the loss's gradient of the step, masked weights included (dense); it is None
    where the layer took no part in the loss. Updaters change none of the three.

    Example:
        >>> import torch
        >>> from growsearch.sparsity import Connections, make_updater
        >>> layer = Connections(
        ...     weight=torch.tensor([[3.0, 1.0, 0.0, 0.0]]),
        ...     gradient=torch.tensor([[0.0, 0.0, 0.5, 2.0]]),
        ...     mask=torch.tensor([[True, True, False, False]]),
        ... )
        >>> rigl = make_updater("rigl", alpha=0.5)
        >>> rigl.update({"fc": layer}, progress=0.0, generator=torch.Generator())["fc"]
        tensor([[ True, False, False,  True]])
    """

    weight: Tensor
    gradient: Tensor | None
    mask: Tensor


class MaskUpdater(Protocol):
    """Rewires masks while training goes on; frozen and without state of its own.

    It keeps every layer's number of active weights unless its schedule says otherwise.
    """

    @property
    def until(self) -> float:
        """The share of training in [0, 1] after which the masks stay as they are."""
        ...

    @property
    def replaces_update(self) -> bool:
        """Whether a mask update takes the place of that step's weight update (RigL)."""
        ...

    @property
    def needs_gradients(self) -> bool:
        """Whether a mask update needs the gradients of masked weights, at dense cost."""
        ...

    @property
    def planned_for(self) -> Timetable | None:
        """The one run whose MACs the updates were planned for, or None if any run will do."""
        ...

    def update(
        self, layers: Mapping[str, Connections], progress: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the new mask of every layer.

        Args:
            layers: by parameter name.
            progress: share of all training steps done, in [0, 1].
            generator: for random choices, on the CPU.
        """
        ...


def magnitude(layer: Connections, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Score connections by |weight|: what SET and RigL drop is lowest here."""
    return layer.weight.detach().abs()


def gradient_magnitude(layer: Connections, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Score connections by |gradient|: what RigL grows is highest here.

    Raises:
        UsageError: if there is no gradient.
    """
    if layer.gradient is None:
        raise UsageError(
            "sparse training: a masked layer has no gradient at a mask update; "
            "remove layers that the loss does not reach, or use the updater set"
        )
    return layer.gradient.detach().abs()


def random_score(layer: Connections, generator: torch.Generator) -> Tensor:
    """Score connections uniformly at random in [0, 1): what SET grows is highest here."""
    return torch.rand(layer.weight.shape, generator=generator).to(layer.weight.device)
