"""Relaxations of a 0/1 indicator to a real mask variable, while it is learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor


class Relaxation(Protocol):
    """Turns mask variables s (n,) at temperatures beta (n,) into gates and draws."""

    def gates(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return the factors on the channels' outputs."""
        ...

    def gate_slopes(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return d gate / d s."""
        ...

    def probabilities(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return the probabilities of being drawn."""
        ...

    def probability_slopes(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return d probability / d s."""
        ...

    def draw(self, s: Tensor, beta: Tensor, generator: torch.Generator) -> Tensor:
        """Return which channels are drawn; gates may depend on the draw until the next one."""
        ...

    def settle(self, s: Tensor) -> Tensor:
        """Return which channels are more in than out, and take chance out of the gates."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what a draw left behind, for a checkpoint."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        ...


def _slope(value: Tensor, steepness: Tensor | float) -> Tensor:
    """Return the derivative of sigma(steepness s) where it has the value ``value``."""
    return steepness * value * (1 - value)


class SigmoidRelaxation:
    """Gate and probability are both sigma(beta s), as in Eq. 6 of arXiv 2007.15353."""

    def gates(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return sigma(beta s)."""
        return torch.sigmoid(beta * s)

    def gate_slopes(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return beta sigma (1 - sigma)."""
        return _slope(self.gates(s, beta), beta)

    def probabilities(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return sigma(beta s)."""
        return self.gates(s, beta)

    def probability_slopes(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return beta sigma (1 - sigma)."""
        return self.gate_slopes(s, beta)

    def draw(self, s: Tensor, beta: Tensor, generator: torch.Generator) -> Tensor:
        """Return a sample of Bernoulli(sigma(beta s))."""
        return torch.bernoulli(self.gates(s, beta), generator=generator).bool()

    def settle(self, s: Tensor) -> Tensor:
        """Return s > 0."""
        return s > 0

    def state(self) -> dict[str, Tensor]:
        """Return nothing: draws leave no trace."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing back."""


class GumbelRelaxation:
    """The two-class Gumbel-softmax (Jang et al. 2017) at temperature 1 / beta.

    A draw adds logistic noise (the difference of two Gumbel variables) to s; the channel is in
    where the sum is positive, which has the probability sigma(s) at any temperature, and its gate
    until the next draw is sigma(beta (s + noise)). One draw holds for an epoch, since structure
    changes between epochs only.
    """

    def __init__(self) -> None:
        self._noise: Tensor | float = 0.0

    def gates(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return sigma(beta (s + noise))."""
        return torch.sigmoid(beta * (s + self._noise))

    def gate_slopes(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return beta gate (1 - gate)."""
        return _slope(self.gates(s, beta), beta)

    def probabilities(self, s: Tensor, beta: Tensor) -> Tensor:  # noqa: ARG002
        """Return sigma(s)."""
        return torch.sigmoid(s)

    def probability_slopes(self, s: Tensor, beta: Tensor) -> Tensor:
        """Return sigma(s) (1 - sigma(s))."""
        return _slope(self.probabilities(s, beta), 1.0)

    def draw(self, s: Tensor, beta: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Draw fresh noise and return s + noise > 0."""
        self._noise = torch.logit(torch.rand(s.shape, generator=generator), eps=1e-6)
        return s + self._noise > 0

    def settle(self, s: Tensor) -> Tensor:
        """Return s > 0, and forget the noise."""
        self._noise = 0.0
        return s > 0

    def state(self) -> dict[str, Tensor]:
        """Return the noise of the present draw."""
        return {"noise": torch.as_tensor(self._noise)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._noise = state["noise"]


RELAXATIONS: dict[str, Callable[[], Relaxation]] = {
    "sigmoid": SigmoidRelaxation,
    "gumbel": GumbelRelaxation,
}
