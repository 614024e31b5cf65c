"""Random erasing: a box of the image is covered, so that no one part is relied upon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from growsearch.datasets.augmentation.draws import check_range, check_share, chosen
from growsearch.datasets.augmentation.random_resized_crop import RandomResizedCrop


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomErasing:
    """A box with a share of the area in ``scale`` and width / height in ``ratio`` is covered.

    Zhong et al. 2020 (arXiv 1708.04896, algorithm 1), with this ``probability``. The cover is each
    channel's mean, or normal noise (zeros and N(0, 1) of normalised images).
    """

    probability: float = 0.5
    scale: tuple[float, float] = (0.02, 0.4)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    cover: Literal["mean", "noise"] = "mean"

    def __post_init__(self) -> None:
        check_share("random-erasing", "probability", self.probability)
        check_range("random-erasing", "scale", self.scale, most=1.0)
        check_range("random-erasing", "ratio", self.ratio, most=100.0)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``images`` (N, C, H, W), some with a box covered."""
        count, _, height, width = images.shape
        taken = chosen(count, self.probability, generator).view(-1, 1, 1)
        boxes = RandomResizedCrop(scale=self.scale, ratio=self.ratio)
        covered = taken & inside(boxes.boxes(count, (height, width), generator), height, width)
        cover = torch.zeros_like(images)
        if self.cover == "noise":
            drawn = torch.randn(images.shape, generator=generator, device=generator.device)
            cover = drawn.to(images)
        return torch.where(covered.unsqueeze(1).to(images.device), cover, images)


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return (N, H, W) bool: does the pixel lie in its image's box (left, top, width, height)?"""
    left, top, wide, high = (each.view(-1, 1, 1) for each in boxes.unbind(1))
    rows, columns = torch.arange(height).view(1, -1, 1), torch.arange(width).view(1, 1, -1)
    return (columns >= left) & (columns < left + wide) & (rows >= top) & (rows < top + high)
