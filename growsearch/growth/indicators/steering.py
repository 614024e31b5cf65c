"""Steering of indicators: what tells them which channels are worth keeping?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

# Averages over about the last 1 / (1 - 0.9) = 10 steps, as the momentum of the indicators does.
_DECAY = 0.9
_TINY = 1e-12


class Steering(Protocol):
    """Turns one step's gate gradients into what drives the indicators."""

    def push(self, gradients: Tensor, gates: Tensor, live: Tensor) -> Tensor:
        """Return the gradient (total,) to descend, 0 where ``live`` (total,) is false.

        ``gradients`` (total,) are dL/dgate of one batch at ``gates`` (total,).
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what earlier steps left behind, for a checkpoint."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        ...


class _Stateless:
    """What steerings share that look at one step alone."""

    def state(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing back."""


class TaskGradient(_Stateless):
    """The gradient of the loss itself: Eq. 6 of arXiv 2007.15353."""

    def __init__(self, strength: float) -> None:
        """Take no notice of ``strength``: the paper weighs task against penalty by lambda only."""

    def push(self, gradients: Tensor, gates: Tensor, live: Tensor) -> Tensor:  # noqa: ARG002
        """Return the gradients as they are."""
        return gradients


class NormalisedTaskGradient(_Stateless):
    """The task's gradient, scaled to a root mean square of ``strength`` over live channels.

    In a short run the raw gradient is a small fraction of the penalty's and cannot steer.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def push(self, gradients: Tensor, gates: Tensor, live: Tensor) -> Tensor:  # noqa: ARG002
        """Return the scaled gradients."""
        size = gradients[live].square().mean().sqrt()
        return gradients * (self._strength / (size + _TINY))


class TaylorSaliency:
    """Keeps channels whose removal would change the loss most, to first order.

    The saliency |gate dL/dgate| equals |sum over the group's BatchNorms of gamma dL/dgamma + bias
    dL/dbias| (Molchanov et al. 2017). Its running average, standardised over live channels, pushes
    with a root mean square of ``strength``.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._average: Tensor | None = None

    def push(self, gradients: Tensor, gates: Tensor, live: Tensor) -> Tensor:
        """Return minus the standardised saliency of live channels."""
        saliency = (gates * gradients).abs()
        average = saliency.clone() if self._average is None else self._average
        average[live] = _DECAY * average[live] + (1 - _DECAY) * saliency[live]
        self._average = average
        of_live = average[live]
        standard = (of_live - of_live.mean()) / (of_live.std(correction=0) + _TINY)
        return torch.zeros_like(gradients).masked_scatter(live, -self._strength * standard)

    def state(self) -> dict[str, Tensor]:
        """Return the running average, if there is one yet."""
        return {} if self._average is None else {"average": self._average}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._average = state.get("average")


STEERINGS: dict[str, Callable[[float], Steering]] = {
    "task": TaskGradient,
    "normalised": NormalisedTaskGradient,
    "taylor": TaylorSaliency,
}
