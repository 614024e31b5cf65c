"""Randomised smoothing: within which distance can no change of an image fool the network?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.pixels import Pixels, normal
from growsearch.metrics.placement import beside

ABSTAINED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """The noise under which a network votes, and how many votes are taken.

    ``sigma`` is in raw pixels from 0 to 1. The class is chosen by ``selection`` votes and its share
    bounded from below by ``samples`` others; each bound fails with probability ``alpha``.

    Raises:
        UsageError: for values with which nothing can be certified.

    Example:
        >>> from growsearch.metrics import Smoothing
        >>> Smoothing(sigma=0.5, samples=1000).alpha
        0.001
    """

    sigma: float = 0.25
    selection: int = 10
    samples: int = 100
    alpha: float = 0.001

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise UsageError(f"smoothing: sigma = {self.sigma} is not above 0")
        if self.selection < 1 or self.samples < 1:
            raise UsageError(
                f"smoothing: selection = {self.selection}, samples = {self.samples}; "
                "both are whole numbers above 0"
            )
        if not 0 < self.alpha < 1:
            raise UsageError(f"smoothing: alpha = {self.alpha} is not between 0 and 1")


def certify(
    model: nn.Module,
    inputs: Tensor,
    smoothing: Smoothing,
    *,
    generator: torch.Generator,
    normalisation: Normalisation = IDENTITY,
) -> tuple[Tensor, Tensor]:
    """Return the classes (N,) of the smoothed network, and radii (N,) within which they hold.

    Cohen et al. 2019 (arXiv 1902.02918, CERTIFY in section 3.2.2): where the lower bound p of the
    class's share is above 1/2, the class holds within sigma Phi^-1(p) in the Euclidean norm, in raw
    pixels. Elsewhere it abstains: class -1, radius 0.

    Args:
        model: maps inputs to logits (N, classes); best trained under the same noise.
        inputs: (N, C, H, W), normalised.
        smoothing: noise and votes.
        generator: draws the noise.
        normalisation: what the inputs have gone through; see `growsearch.metrics.fgsm`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.metrics import Smoothing, certify
        >>> module = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
        >>> _ = module[1].weight.data.zero_(), module[1].bias.data.copy_(torch.tensor([1.0, 0.0]))
        >>> draw = torch.Generator().manual_seed(0)
        >>> classes, radii = certify(module, torch.zeros(1, 1, 1, 2), Smoothing(), generator=draw)
        >>> classes, round(float(radii), 3)
        (tensor([0]), 0.375)
    """
    from scipy.special import ndtri

    classes, radii = [], []
    (inputs,) = beside(model, inputs)
    scale = Pixels.of(inputs, normalisation).scale
    with evaluating(model), torch.no_grad():
        for example in torch.split(inputs, 1):
            first = _votes(model, example, scale, smoothing.selection, smoothing, generator)
            chosen = int(first.argmax())
            again = _votes(model, example, scale, smoothing.samples, smoothing, generator)
            low = lower_bound(int(again[chosen]), smoothing.samples, smoothing.alpha)
            certain = low > 0.5
            classes.append(chosen if certain else ABSTAINED)
            radii.append(smoothing.sigma * float(ndtri(low)) if certain else 0.0)
    return torch.tensor(classes), torch.tensor(radii, dtype=torch.float64)


def certified_accuracy(
    classes: Tensor, radii: Tensor, labels: Tensor, *, radius: float = 0.0
) -> float:
    """Return the share of examples that are right and stay so within ``radius`` (raw pixels).

    Arguments are the result of `certify` and labels (N,).

    Example:
        >>> import torch
        >>> from growsearch.metrics import certified_accuracy
        >>> classes, radii = torch.tensor([0, 1, -1, 1]), torch.tensor([0.4, 0.1, 0.0, 0.3])
        >>> certified_accuracy(classes, radii, torch.tensor([0, 1, 0, 0]), radius=0.25)
        0.25
    """
    return float(((classes == labels.cpu()) & (radii >= radius)).double().mean())


def lower_bound(hits: int, samples: int, alpha: float) -> float:
    """Return a bound that a share of ``hits`` in ``samples`` is above, but for ``alpha``.

    One-sided, exact (Clopper & Pearson 1934): the alpha quantile of Beta(hits, samples - hits + 1).
    """
    from scipy.special import betaincinv

    return float(betaincinv(hits, samples - hits + 1, alpha)) if hits else 0.0


def _votes(
    model: nn.Module,
    example: Tensor,
    scale: Tensor,
    count: int,
    smoothing: Smoothing,
    generator: torch.Generator,
) -> Tensor:
    """Count (classes,) what ``model`` says to ``example`` (1, ...) under so many draws of noise."""
    many = example.expand(count, *example.shape[1:])
    logits = model(many + smoothing.sigma * normal(many, generator) * scale)
    return torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1])
