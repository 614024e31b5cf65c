"""Lion, an optimizer that steps by the sign of an interpolated momentum (Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from growsearch.errors import UsageError


class LionOptimizer(torch.optim.Optimizer):
    """Algorithm 2 of arXiv 2302.06675, weight decay decoupled.

    c = sign(beta1 m + (1 - beta1) g), w <- w - rate (c + decay w), m <- beta2 m + (1 - beta2) g.
    """

    def __init__(
        self, groups: Sequence[dict[str, Any]], lr: float, betas: tuple[float, float]
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        gradient, (beta1, beta2) = parameter.grad, group["betas"]
        state = self.state[parameter]
        if "exp_avg" not in state:
            state["exp_avg"] = torch.zeros_like(parameter)
        momentum = state["exp_avg"]
        direction = momentum.lerp(gradient, 1 - beta1).sign_()
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(direction, alpha=-group["lr"])
        momentum.lerp_(gradient, 1 - beta2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lion:
    """Sign of an interpolated momentum: a third to a tenth of AdamW's rate, and as much more decay.

    Example:
        >>> from growsearch.training import Lion, Recipe
        >>> Recipe(epochs=5, learning_rate=1e-4, optimizer=Lion()).optimizer.beta2
        0.99
    """

    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        for name, value in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= value < 1:
                raise UsageError(f"{name}: {value} is not in [0, 1)")

    def over(self, groups: Sequence[dict[str, Any]], learning_rate: float) -> LionOptimizer:
        """Return a fresh optimizer."""
        return LionOptimizer(groups, lr=learning_rate, betas=(self.beta1, self.beta2))
