"""Mixing of pairs: mixup and CutMix, whose targets are shares of two classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.datasets.augmentation.draws import (
    beta,
    check_above,
    check_share,
    chosen,
    uniform,
)
from growsearch.datasets.augmentation.random_erasing import inside

_MAX_ALPHA = 100.0
_Mixed = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixup:
    """Weighted means of two images and of their targets, the weight of Beta(alpha, alpha).

    Zhang et al. 2018 (arXiv 1710.09412, eq. 1 and section 3): one weight a batch, whose images
    are mixed with the same ones in another order; this ``probability`` is a batch's.
    """

    alpha: float = 0.2
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_above("mixup", "alpha", self.alpha, most=_MAX_ALPHA, usual=0.2)
        check_share("mixup", "probability", self.probability)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return mixed ``images`` (N, C, H, W) alone."""
        return self.mix((images, images.new_zeros(len(images), 1)), generator)[0]

    def mix(self, batch: _Mixed, generator: torch.Generator) -> _Mixed:
        """Return images (N, C, H, W) and targets (N, classes), which are probabilities, mixed."""
        if not bool(chosen(1, self.probability, generator)):
            return batch
        weight, order = beta(self.alpha, generator), _order(len(batch[0]), generator)
        images, targets = (
            weight * part + (1 - weight) * part[order.to(part.device)] for part in batch
        )
        return images, targets


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMix:
    """A box of one image is laid into another; targets are mixed as the areas are.

    Yun et al. 2019 (arXiv 1905.04899, eq. 1 and 2, algorithm 1 of the supplement): one box a
    batch, whose share of the area is of Beta(alpha, alpha) before the image's border cuts it.
    """

    alpha: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_above("cutmix", "alpha", self.alpha, most=_MAX_ALPHA, usual=1.0)
        check_share("cutmix", "probability", self.probability)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return mixed ``images`` (N, C, H, W) alone."""
        return self.mix((images, images.new_zeros(len(images), 1)), generator)[0]

    def mix(self, batch: _Mixed, generator: torch.Generator) -> _Mixed:
        """Return images (N, C, H, W) and targets (N, classes), which are probabilities, mixed."""
        if not bool(chosen(1, self.probability, generator)):
            return batch
        images, targets = batch
        height, width = images.shape[2:]
        box = _box(beta(self.alpha, generator), (height, width), generator)
        order = _order(len(images), generator)
        other = inside(box, height, width)
        share = float(other.double().mean())
        mixed = torch.where(
            other.unsqueeze(1).to(images.device), images[order.to(images.device)], images
        )
        partners = targets[order.to(targets.device)]
        return mixed, (1 - share) * targets + share * partners


def _order(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator, device=generator.device).cpu()


def _box(kept: float, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return a box (1, 4) around any place, of the share 1 - ``kept``, cut off at the border."""
    height, width = size
    side = math.sqrt(1 - kept)
    middle = (uniform((2,), (0.0, 1.0), generator) * torch.tensor([width, height])).long()
    half = torch.tensor([int(width * side), int(height * side)]) // 2
    first = (middle - half).clamp_min(0)
    last = torch.minimum(middle + half, torch.tensor([width, height]))
    return torch.cat([first, last - first]).unsqueeze(0)
