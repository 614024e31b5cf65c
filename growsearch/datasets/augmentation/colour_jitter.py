"""Colour jitter: brightness, contrast, saturation and hue of every image, by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from growsearch.datasets.augmentation.colours import brightness, contrast, hue, saturation
from growsearch.datasets.augmentation.draws import check_share, uniform
from growsearch.errors import UsageError

_MAX_HUE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourJitter:
    """Factors in [1 - value, 1 + value] of brightness, contrast and saturation, in this order.

    ``hue`` is turned by up to so much of the circle each way, 0.5 at most. Howard 2013 (arXiv
    1312.5402); in images of one channel only brightness and contrast can change.
    """

    on_pixels: ClassVar[bool] = True

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        for key in ("brightness", "contrast", "saturation"):
            check_share("colour-jitter", key, getattr(self, key))
        if not 0 <= self.hue <= _MAX_HUE:
            raise UsageError(f"colour-jitter.hue = {self.hue!r} is not from 0 to {_MAX_HUE}")

    def apply(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``pixels`` (N, C, H, W) from 0 to 1, changed."""
        count = (len(pixels),)
        for change, most in (
            (brightness, self.brightness),
            (contrast, self.contrast),
            (saturation, self.saturation),
        ):
            if most:
                pixels = change(pixels, uniform(count, (1 - most, 1 + most), generator))
        if self.hue:
            pixels = hue(pixels, uniform(count, (-self.hue, self.hue), generator))
        return pixels
