"""Pixel units: steps of raw pixels, from 0 to 1, in a network's normalised inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.datasets.normalisation import IDENTITY, Normalisation

_LEVELS = 255.0


@dataclass(frozen=True, slots=True)
class Pixels:
    """The room that every pixel has up to black and white, and a raw pixel's length in inputs."""

    lowest: Tensor
    highest: Tensor
    scale: Tensor

    @classmethod
    def of(cls, inputs: Tensor, normalisation: Normalisation) -> Pixels:
        """Read off how far every pixel of ``inputs`` (N, C, H, W) is from black and white.

        The identity stands for an unknown normalisation: inputs are then taken as they are, and
        there is no black or white.
        """
        if normalisation == IDENTITY:
            end = inputs.new_ones(()) * math.inf
            return cls(-end, end, inputs.new_ones(()))
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        mean = torch.tensor(normalisation.mean).view(shape).to(inputs) / _LEVELS
        deviation = torch.tensor(normalisation.deviation).view(shape).to(inputs) / _LEVELS
        raw = (inputs.detach() * deviation + mean).clamp(0.0, 1.0)
        return cls(-raw, 1.0 - raw, 1.0 / deviation)

    def valid(self, delta: Tensor) -> Tensor:
        """Cut ``delta`` (raw pixels) where a pixel would be darker than black, or too bright."""
        return torch.maximum(torch.minimum(delta, self.highest), self.lowest)

    def moved(self, inputs: Tensor, delta: Tensor) -> Tensor:
        """Return ``inputs`` with ``delta`` (raw pixels) added."""
        return (inputs + delta * self.scale).detach()


def noisy(
    inputs: Tensor, deviation: float, generator: torch.Generator, normalisation: Normalisation
) -> Tensor:
    """Return ``inputs`` (N, C, H, W) with Gaussian noise, cut to valid pixels.

    Args:
        inputs: normalised images.
        deviation: of the noise, in raw pixels from 0 to 1.
        generator: draws it.
        normalisation: what the inputs have gone through; see `Pixels.of`.

    Example:
        >>> import torch
        >>> from growsearch.datasets.normalisation import IDENTITY
        >>> from growsearch.metrics import noisy
        >>> images, draw = torch.zeros(2, 1, 4, 4), torch.Generator().manual_seed(0)
        >>> noisy(images, 0.0, draw, IDENTITY).equal(images)
        True
    """
    pixels = Pixels.of(inputs, normalisation)
    return pixels.moved(inputs, pixels.valid(deviation * normal(inputs, generator)))


def normal(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a tensor like ``inputs``; the generator may live on another device."""
    drawn = torch.randn(inputs.shape, generator=generator, device=generator.device)
    return drawn.to(inputs)
