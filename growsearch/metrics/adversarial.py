"""Adversarial attacks FGSM and PGD: which small change inside valid pixels fools a network?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cost_models.counting.plain_calls import no_checkpointing
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.pixels import Pixels, normal
from growsearch.metrics.placement import beside

Norm = Literal["inf", "2"]
NORMS: tuple[Norm, ...] = get_args(Norm)

# Below this a gradient is no direction.
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A projected gradient attack: how far, in how many steps of what size, in which norm.

    ``epsilon`` and ``step_size`` are in raw pixels from 0 to 1, whatever the normalisation.

    Raises:
        UsageError: for a negative or infinite length, no steps or an unknown norm.

    Example:
        >>> from growsearch.metrics import Attack
        >>> Attack(epsilon=8 / 255, steps=10, step_size=2 / 255).norm
        'inf'
    """

    epsilon: float
    steps: int
    step_size: float
    norm: Norm = "inf"
    random_start: bool = True

    def __post_init__(self) -> None:
        _check_length("epsilon", self.epsilon)
        _check_length("step_size", self.step_size)
        if self.steps < 1:
            raise UsageError(f"attack: steps = {self.steps} is not a whole number above 0")
        if self.norm not in NORMS:
            raise UsageError(f"attack: unknown norm {self.norm!r}; valid: inf, 2")


def fgsm(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    normalisation: Normalisation = IDENTITY,
) -> Tensor:
    """Return ``inputs`` one step up the loss: x + epsilon sign(grad_x L).

    Goodfellow et al. 2015 (arXiv 1412.6572, section 4); L is the cross-entropy in evaluation mode.
    The model's modes, parameters and gradients stay as they are.

    Args:
        model: maps inputs to logits (N, classes).
        inputs: (N, C, H, W), normalised.
        labels: (N,) the true classes.
        epsilon: in raw pixels from 0 to 1, such as 8/255.
        normalisation: what the inputs have gone through. With it the result is clamped to valid
            pixels. The identity stands for an unknown one: ``epsilon`` is then in the units of the
            inputs, and nothing is clamped.

    Raises:
        UsageError: for an epsilon that is negative or not finite.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.metrics import fgsm
        >>> module = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = module[1].weight.data.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        >>> image = torch.zeros(1, 1, 1, 2)
        >>> fgsm(module, image, torch.tensor([0]), epsilon=0.25).flatten().tolist()
        [-0.25, 0.25]
    """
    _check_length("epsilon", epsilon)
    home = inputs.device
    inputs, labels = beside(model, inputs, labels)
    pixels = Pixels.of(inputs, normalisation)
    with evaluating(model):
        step = epsilon * _gradient(model, inputs, labels).sign()
    return pixels.moved(inputs, pixels.valid(step)).to(home)


def pgd(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    attack: Attack,
    generator: torch.Generator,
    normalisation: Normalisation = IDENTITY,
) -> Tensor:
    """Return ``inputs`` after steps up the loss, each projected into the ball and valid pixels.

    Madry et al. 2018 (arXiv 1706.06083, section 2.1): x_t+1 = P(x_t + step_size direction), where
    the direction is sign(grad_x L) for the maximum norm and grad_x L / |grad_x L|_2 for the
    Euclidean one. A random start is uniform in the ball. Everything else is as in `fgsm`.

    Args:
        model: maps inputs to logits (N, classes).
        inputs: (N, C, H, W), normalised.
        labels: (N,) the true classes.
        attack: the size of the ball, the steps and the norm.
        generator: draws the random start; may live on another device than the inputs.
        normalisation: what the inputs have gone through; see `fgsm`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.metrics import Attack, pgd
        >>> module = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = module[1].weight.data.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        >>> found = pgd(
        ...     module,
        ...     torch.zeros(1, 1, 1, 2),
        ...     torch.tensor([0]),
        ...     attack=Attack(epsilon=0.25, steps=4, step_size=0.25),
        ...     generator=torch.Generator().manual_seed(0),
        ... )
        >>> found.flatten().tolist()
        [-0.25, 0.25]
    """
    home = inputs.device
    inputs, labels = beside(model, inputs, labels)
    pixels = Pixels.of(inputs, normalisation)
    delta = torch.zeros_like(inputs)
    if attack.random_start:
        delta = pixels.valid(_random_start(inputs, attack, generator))
    with evaluating(model):
        for _ in range(attack.steps):
            gradient = _gradient(model, pixels.moved(inputs, delta), labels)
            step = attack.step_size * _direction(gradient, attack.norm)
            delta = pixels.valid(_project(delta + step, attack))
    return pixels.moved(inputs, delta).to(home)


def _gradient(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of every example's own loss, one of the inputs' shape."""
    with torch.enable_grad(), no_checkpointing():
        leaf = inputs.detach().requires_grad_()
        loss = F.cross_entropy(model(leaf), labels, reduction="sum")
        return torch.autograd.grad(loss, leaf)[0]


def _direction(gradient: Tensor, norm: Norm) -> Tensor:
    if norm == "inf":
        return gradient.sign()
    return gradient / _lengths(gradient).clamp_min(_TINY)


def _project(delta: Tensor, attack: Attack) -> Tensor:
    """Return the nearest point of the ball; cutting to valid pixels afterwards stays inside it."""
    if attack.norm == "inf":
        return delta.clamp(-attack.epsilon, attack.epsilon)
    return delta * (attack.epsilon / _lengths(delta).clamp_min(_TINY)).clamp_max(1.0)


def _random_start(inputs: Tensor, attack: Attack, generator: torch.Generator) -> Tensor:
    """Return a point (N, ...) uniform in the ball of every example."""
    device = generator.device
    if attack.norm == "inf":
        cube = torch.rand(inputs.shape, generator=generator, device=device).to(inputs)
        return (2 * cube - 1) * attack.epsilon
    towards = normal(inputs, generator)
    drawn = torch.rand(len(inputs), generator=generator, device=device).to(inputs)
    # The volume within r grows with r to the number of pixels.
    share = drawn.pow(1 / inputs[0].numel()).view(-1, *(1,) * (inputs.ndim - 1))
    return share * attack.epsilon * towards / _lengths(towards).clamp_min(_TINY)


def _lengths(examples: Tensor) -> Tensor:
    """Return the Euclidean length of every example (N, 1, ...)."""
    lengths: Tensor = torch.linalg.vector_norm(examples.flatten(1), dim=1)
    return lengths.view(-1, *(1,) * (examples.ndim - 1))


def _check_length(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise UsageError(
            f"attack: {name} = {value} is not a finite length of at least 0; "
            "give raw pixels from 0 to 1, such as 8/255 = 0.0314"
        )
