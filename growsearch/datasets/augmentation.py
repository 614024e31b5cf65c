"""Augmentation: how a training image may change from epoch to epoch without changing its class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random shifts of up to ``shift_pixels`` each way, and mirroring in half of the cases.

    A shifted image is cut from one padded with zeros, which is each channel's mean once the images
    are normalised (He et al. 2016, section 4.2). The default changes nothing.
    """

    shift_pixels: int = 0
    mirror: bool = False

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed ``images`` (N, C, H, W), each by a shift and a mirroring of its own.

        The generator may live on another device than the images. An augmentation that changes
        nothing draws nothing from it.
        """
        if not self.shift_pixels and not self.mirror:
            return images
        count, _, height, width = images.shape
        rows = torch.arange(height).expand(count, -1)
        columns = torch.arange(width).expand(count, -1)
        if self.mirror:
            mirrored = self._draw(2, count, generator).bool()
            columns = torch.where(mirrored, width - 1 - columns, columns)
        rows = rows + self._draw(2 * self.shift_pixels + 1, count, generator)
        columns = columns + self._draw(2 * self.shift_pixels + 1, count, generator)
        return _pick(_padded(images, self.shift_pixels), rows, columns)

    @staticmethod
    def _draw(below: int, count: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(below, (count, 1), generator=generator, device=generator.device)
        return drawn.cpu()


def _padded(images: Tensor, pixels: int) -> Tensor:
    return F.pad(images, (pixels, pixels, pixels, pixels)) if pixels else images


def _pick(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at ``rows`` (N, H) x ``columns`` (N, W) of every image (N, C, ., .)."""
    count, channels, _, width = images.shape
    index = (rows * width).unsqueeze(2) + columns.unsqueeze(1)
    flat = index.view(count, 1, -1).to(images.device).expand(-1, channels, -1)
    picked = images.reshape(count, channels, -1).gather(2, flat)
    return picked.view(count, channels, rows.shape[1], columns.shape[1])


NO_AUGMENTATION = Augmentation()
SHIFT_MIRROR = Augmentation(shift_pixels=4, mirror=True)

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NO_AUGMENTATION,
    "shift-mirror": SHIFT_MIRROR,
}
