"""Optimizer rules, SGD, Adam and AdamW: how do gradients become new weights?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from growsearch.errors import UsageError


class OptimizerRule(Protocol):
    """An optimizer's kind and its own settings; learning rate and weight decay are the recipe's."""

    def over(self, groups: Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return a fresh optimizer over parameter groups that state their weight decay."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum, Nesterov's or plain, in PyTorch's form.

    Example:
        >>> from growsearch.training import SGD, Recipe
        >>> Recipe(epochs=5, optimizer=SGD(momentum=0.9, nesterov=False)).optimizer
        SGD(momentum=0.9, nesterov=False)
    """

    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum: {self.momentum} is not in [0, 1)")
        if self.nesterov and self.momentum == 0:
            raise UsageError("nesterov: needs momentum above 0; write nesterov=False")

    def over(self, groups: Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.SGD:
        """Return a fresh optimizer."""
        return torch.optim.SGD(
            groups, lr=learning_rate, momentum=self.momentum, nesterov=self.nesterov
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1); weight decay is added to the gradient (L2).

    Example:
        >>> from growsearch.training import Adam, Recipe
        >>> Recipe(epochs=5, learning_rate=1e-3, optimizer=Adam()).optimizer.beta1
        0.9
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_betas(self.beta1, self.beta2, self.epsilon)

    def over(self, groups: Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.Adam:
        """Return a fresh optimizer."""
        return torch.optim.Adam(
            groups, lr=learning_rate, betas=(self.beta1, self.beta2), eps=self.epsilon
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Example:
        >>> from growsearch.training import AdamW, Recipe
        >>> Recipe(epochs=5, learning_rate=1e-3, optimizer=AdamW(beta2=0.95)).optimizer.beta2
        0.95
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_betas(self.beta1, self.beta2, self.epsilon)

    def over(self, groups: Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.AdamW:
        """Return a fresh optimizer."""
        return torch.optim.AdamW(
            groups, lr=learning_rate, betas=(self.beta1, self.beta2), eps=self.epsilon
        )


def _check_betas(beta1: float, beta2: float, epsilon: float) -> None:
    for name, value in (("beta1", beta1), ("beta2", beta2)):
        if not 0 <= value < 1:
            raise UsageError(f"{name}: {value} is not in [0, 1)")
    if epsilon <= 0:
        raise UsageError(f"epsilon: {epsilon} is not above 0")
