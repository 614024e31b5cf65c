"""Colour operations on pixels from 0 to 1, as Pillow's ImageEnhance and ImageOps define them.

Images are (N, C, H, W), strengths (N,): one an image. Three channels are red, green and blue.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 256
_RGB = 3
# ITU-R 601-2, as Pillow's convert("L").
_GREY = (0.299, 0.587, 0.114)
# Pillow's ImageFilter.SMOOTH: the middle weighs 5 of 13.
_SMOOTH = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13


def brightness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Return images between black (0), as they are (1) and brighter."""
    return _blended(torch.zeros_like(pixels), pixels, factors)


def contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """Return images between their mean grey (0), as they are (1) and more contrast."""
    return _blended(grey(pixels).mean((2, 3), keepdim=True), pixels, factors)


def saturation(pixels: Tensor, factors: Tensor) -> Tensor:
    """Return images between grey (0), as they are (1) and more colour."""
    return _blended(grey(pixels), pixels, factors)


def sharpness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Return images between smoothed (0), as they are (1) and sharper; the border stays."""
    channels, height, width = pixels.shape[1:]
    if min(height, width) < len(_SMOOTH):
        return pixels
    kernel = _SMOOTH.to(pixels).expand(channels, 1, -1, -1)
    smooth = pixels.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(pixels, kernel, groups=channels)
    return _blended(smooth, pixels, factors)


def grey(pixels: Tensor) -> Tensor:
    """Return (N, 1, H, W): the luma of three channels, the mean of others."""
    if pixels.shape[1] != _RGB:
        return pixels.mean(dim=1, keepdim=True)
    weights = torch.tensor(_GREY).to(pixels).view(1, _RGB, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)


def hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """Return images whose hue is turned by so many whole circles; others than RGB as they are."""
    if pixels.shape[1] != _RGB:
        return pixels
    most, largest = pixels.max(dim=1)
    chroma = most - pixels.min(dim=1).values
    red, green, blue = pixels.unbind(1)
    safe = chroma.clamp_min(torch.finfo(pixels.dtype).tiny)
    sixths = torch.stack(
        [(green - blue) / safe, (blue - red) / safe + 2, (red - green) / safe + 4], dim=1
    )
    place = sixths.gather(1, largest.unsqueeze(1)).squeeze(1) + 6 * _each(turns, pixels).squeeze(1)
    # Of one hue, the channels lie a third of the circle apart (Smith 1978, as in colorsys).
    steps = torch.tensor([5.0, 3.0, 1.0]).to(pixels).view(1, _RGB, 1, 1)
    around = (steps + place.unsqueeze(1)) % 6
    share = torch.minimum(around, 4 - around).clamp(0, 1)
    return (most.unsqueeze(1) - chroma.unsqueeze(1) * share).clamp(0, 1)


def posterise(pixels: Tensor, bits: int) -> Tensor:
    """Return images with the first ``bits`` of 8 of every channel."""
    mask = (0xFF << (8 - bits)) & 0xFF
    return (_levels(pixels) & mask).to(pixels) / (_LEVELS - 1)


def solarise(pixels: Tensor, threshold: float) -> Tensor:
    """Return images with all pixels of ``threshold`` (0 to 1) and above inverted."""
    return torch.where(pixels >= threshold, 1 - pixels, pixels)


def auto_contrast(pixels: Tensor) -> Tensor:
    """Return images whose every channel goes from 0 to 1."""
    low = pixels.amin((2, 3), keepdim=True)
    span = pixels.amax((2, 3), keepdim=True) - low
    # A channel of one level has no contrast; so has one that rounding alone has spread.
    flat = span < 0.5 / (_LEVELS - 1)
    return torch.where(flat, pixels, (pixels - low) / torch.where(flat, 1.0, span))


def equalise(pixels: Tensor) -> Tensor:
    """Return images whose every channel has all levels about equally often."""
    levels = _levels(pixels).flatten(2)
    counts = torch.zeros(*levels.shape[:2], _LEVELS, dtype=torch.long, device=pixels.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    last = counts.gather(2, levels.amax(dim=2, keepdim=True))
    step = (levels.shape[2] - last) // (_LEVELS - 1)
    before = counts.cumsum(dim=2) - counts
    table = (before + step // 2) // step.clamp_min(1)
    found = table.clamp_max(_LEVELS - 1).gather(2, levels)
    found = torch.where(step > 0, found, levels)
    return found.view(pixels.shape).to(pixels) / (_LEVELS - 1)


def _levels(pixels: Tensor) -> Tensor:
    return (pixels.clamp(0, 1) * (_LEVELS - 1)).round().long()


def _each(strengths: Tensor, like: Tensor) -> Tensor:
    return strengths.to(like).view(-1, 1, 1, 1)


def _blended(start: Tensor, end: Tensor, factors: Tensor) -> Tensor:
    return (start + _each(factors, end) * (end - start)).clamp(0, 1)
