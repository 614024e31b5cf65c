"""Shifts and mirroring: a cut from the padded image, and left for right."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from growsearch.datasets.augmentation.draws import check_share, check_whole, chosen

MAX_SHIFT_PIXELS = 1024


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Shifts of up to ``pixels`` each way alone, as in `Augmentation` (He et al. 2016)."""

    pixels: int = 4

    def __post_init__(self) -> None:
        check_whole("shift", "pixels", self.pixels, (1, MAX_SHIFT_PIXELS))

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return shifted ``images`` (N, C, H, W)."""
        return Augmentation(shift_pixels=self.pixels).apply(images, generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Left for right, with this ``probability`` (Krizhevsky et al. 2012, section 4.1)."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_share("mirror", "probability", self.probability)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``images`` (N, C, H, W), some of them mirrored."""
        mirrored = chosen(len(images), self.probability, generator).view(-1, 1, 1, 1)
        return torch.where(mirrored.to(images.device), images.flip(-1), images)


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
