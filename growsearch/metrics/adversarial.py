"""Which small change of an image raises the loss most? FGSM and projected gradient descent.

Images are pixels from 0 to 1, and so are all lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.errors import UsageError

Norm = Literal["inf", "2"]
NORMS: tuple[Norm, ...] = get_args(Norm)

# Keeps a gradient of zeros from being divided by its norm.
_LEAST_NORM = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Projected gradient descent: ``steps`` steps of ``step_size`` within ``epsilon``.

    ``norm`` measures both: "inf" the largest change of a pixel, "2" the Euclidean length of an
    image's change. ``random_start`` begins at a uniform draw from the ball, else at the image.

    Raises:
        UsageError: for values with which there is no attack.
    """

    epsilon: float
    steps: int = 10
    step_size: float = 2 / 255
    norm: Norm = "inf"
    random_start: bool = True

    def __post_init__(self) -> None:
        for name in ("epsilon", "steps", "step_size"):
            if getattr(self, name) <= 0:
                raise UsageError(f"attack: {name} = {getattr(self, name)} is not above 0")
        if self.norm not in NORMS:
            raise UsageError(f"norm: unknown {self.norm!r}; valid: {', '.join(NORMS)}")


def fgsm(model: nn.Module, inputs: Tensor, labels: Tensor, *, epsilon: float) -> Tensor:
    """Return clip(x + epsilon sign(grad_x loss)) (Goodfellow et al. 2015, arXiv 1412.6572, 4).

    Args:
        model: maps pixels to logits; it is attacked in evaluation mode and its mode is restored.
        inputs: pixels (N, ...) from 0 to 1.
        labels: (N,).
        epsilon: largest change of a pixel.
    """
    with _fixed(model):
        gradient = _gradient(model, inputs, labels)
    return (inputs + epsilon * gradient.sign()).clamp(0, 1)


def pgd(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    attack: Attack,
    generator: torch.Generator,
) -> Tensor:
    """Return images within the ball around ``inputs`` that raise the loss (Madry et al. 2018).

    x <- project(x + step_size g), with g the sign of the gradient under "inf" and the gradient at
    length 1 under "2" (arXiv 1706.06083, section 2.1). Images stay pixels from 0 to 1.

    Args:
        model: maps pixels to logits; it is attacked in evaluation mode and its mode is restored.
        inputs: pixels (N, ...) from 0 to 1.
        labels: (N,).
        attack: how far, and in how many steps.
        generator: draws the start, on the CPU.
    """
    change = _start(inputs, attack, generator)
    with _fixed(model):
        for _ in range(attack.steps):
            gradient = _gradient(model, inputs + change, labels)
            if attack.norm == "inf":
                change = change + attack.step_size * gradient.sign()
                change = change.clamp(-attack.epsilon, attack.epsilon)
            else:
                change = change + attack.step_size * gradient / _lengths(gradient)
                change = change * (attack.epsilon / _lengths(change)).clamp(max=1.0)
            change = (inputs + change).clamp(0, 1) - inputs
    return (inputs + change).clamp(0, 1)


def _start(inputs: Tensor, attack: Attack, generator: torch.Generator) -> Tensor:
    if not attack.random_start:
        return torch.zeros_like(inputs)
    if attack.norm == "inf":
        drawn = 2 * torch.rand(inputs.shape, generator=generator) - 1
    else:
        # Uniform in the ball: a direction, and the d-th root of a uniform draw as the radius.
        drawn = torch.randn(inputs.shape, generator=generator)
        radius = torch.rand(len(inputs), generator=generator) ** (1 / inputs[0].numel())
        drawn = drawn / _lengths(drawn) * radius.view(-1, *(1,) * (inputs.ndim - 1))
    return (inputs + attack.epsilon * drawn.to(inputs.device)).clamp(0, 1) - inputs


def _gradient(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the summed loss: each image's is its own."""
    inputs = inputs.detach().requires_grad_(True)
    with torch.enable_grad():
        loss = F.cross_entropy(model(inputs), labels, reduction="sum")
        gradient: Tensor = torch.autograd.grad(loss, inputs)[0]
    return gradient


def _lengths(images: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1).clamp(min=_LEAST_NORM)
    return lengths.view(-1, *(1,) * (images.ndim - 1))


@contextmanager
def _fixed(model: nn.Module) -> Iterator[None]:
    """Attack in evaluation mode inside: BatchNorm must not learn from attacked images here."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
