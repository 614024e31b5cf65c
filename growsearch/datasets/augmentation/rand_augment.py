"""RandAugment: a few of fourteen operations for every image, all at one strength."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from growsearch.datasets.augmentation.colours import (
    auto_contrast,
    brightness,
    contrast,
    equalise,
    posterise,
    saturation,
    sharpness,
    solarise,
)
from growsearch.datasets.augmentation.draws import check_whole, whole
from growsearch.datasets.augmentation.geometry import affine, centred

_MAX_MAGNITUDE = 30
# What shows where an image was: the grey of AutoAugment's code.
_FILL = 128 / 255
_MAX_DEGREES = 30.0
_MAX_SHEAR = 0.3
# 150 pixels of the 331 that AutoAugment was made for.
_MAX_SHIFT = 150 / 331
_MAX_FACTOR = 0.9
_LOST_BITS = 4

# (pixels (n, C, H, W), strength from 0 to 1, signs (n,)) -> pixels
Operation = Callable[[Tensor, float, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugment:
    """So many ``operations`` for every image, drawn with replacement, at ``magnitude`` of 30.

    Cubuk et al. 2020 (arXiv 1909.13719, figure 2); strengths as in AutoAugment (arXiv 1805.09501,
    table 6), rising evenly to magnitude 30. What comes in from outside of an image is grey.
    """

    on_pixels: ClassVar[bool] = True

    operations: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        check_whole("rand-augment", "operations", self.operations, (1, 14))
        check_whole("rand-augment", "magnitude", self.magnitude, (0, _MAX_MAGNITUDE))

    def apply(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``pixels`` (N, C, H, W) from 0 to 1, changed."""
        strength = self.magnitude / _MAX_MAGNITUDE
        for _ in range(self.operations):
            drawn = whole(len(OPERATIONS), (len(pixels),), generator)
            signs = 2.0 * whole(2, (len(pixels),), generator) - 1.0
            changed = pixels.clone()
            for number, operation in enumerate(OPERATIONS.values()):
                here = (drawn == number).nonzero().flatten()
                if len(here):
                    there = here.to(pixels.device)
                    changed[there] = operation(pixels[there], strength, signs[here])
            pixels = changed
        return pixels


def _rotate(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:
    angles = math.radians(_MAX_DEGREES) * strength * signs
    cosines, sines = angles.cos(), angles.sin()
    rows = [torch.stack([cosines, sines], dim=1), torch.stack([-sines, cosines], dim=1)]
    return _linear(pixels, torch.stack(rows, dim=1))


def _shear_x(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:
    return _linear(pixels, _shear(strength, signs))


def _shear_y(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:
    return _linear(pixels, _shear(strength, signs).transpose(1, 2))


def _shear(strength: float, signs: Tensor) -> Tensor:
    matrices = torch.eye(2).repeat(len(signs), 1, 1)
    matrices[:, 0, 1] = _MAX_SHEAR * strength * signs
    return matrices


def _translate_x(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:
    return _moved(pixels, 0, _MAX_SHIFT * pixels.shape[3] * strength * signs)


def _translate_y(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:
    return _moved(pixels, 1, _MAX_SHIFT * pixels.shape[2] * strength * signs)


def _moved(pixels: Tensor, axis: int, distances: Tensor) -> Tensor:
    matrices = torch.eye(2, 3).repeat(len(distances), 1, 1)
    # Whole pixels, as Pillow's translation by nearest neighbours.
    matrices[:, axis, 2] = distances.round()
    return affine(pixels, matrices, fill=_FILL)


def _linear(pixels: Tensor, matrices: Tensor) -> Tensor:
    return affine(pixels, centred(matrices, *pixels.shape[2:]), fill=_FILL)


def _enhanced(change: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    def operation(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:
        return change(pixels, 1 + _MAX_FACTOR * strength * signs)

    return operation


def _posterise(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:  # noqa: ARG001
    return posterise(pixels, 8 - round(_LOST_BITS * strength))


def _solarise(pixels: Tensor, strength: float, signs: Tensor) -> Tensor:  # noqa: ARG001
    # Level 256 and above is none.
    return solarise(pixels, (1 - strength) * 256 / 255)


OPERATIONS: dict[str, Operation] = {
    "identity": lambda pixels, _strength, _signs: pixels,
    "auto-contrast": lambda pixels, _strength, _signs: auto_contrast(pixels),
    "equalise": lambda pixels, _strength, _signs: equalise(pixels),
    "rotate": _rotate,
    "solarise": _solarise,
    "saturation": _enhanced(saturation),
    "posterise": _posterise,
    "contrast": _enhanced(contrast),
    "brightness": _enhanced(brightness),
    "sharpness": _enhanced(sharpness),
    "shear-x": _shear_x,
    "shear-y": _shear_y,
    "translate-x": _translate_x,
    "translate-y": _translate_y,
}
