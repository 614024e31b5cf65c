"""Normalisation: pixels from 0 to 255 become inputs of zero mean and unit deviation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LEVELS = 256
_IMAGES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation of every channel, in pixel units; by default the identity.

    A network that was trained on one data set sees images of another one through the first one's
    normalisation.
    """

    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, images: Tensor) -> Normalisation:
        """Return the statistics of ``images`` (N, C, H, W) uint8.

        A constant channel gets the deviation 1. All come from a histogram,
        so that they are exact and need no floating-point copy of the images.
        """
        levels = torch.arange(_LEVELS, dtype=torch.float64)
        means, deviations = [], []
        for channel in images.unbind(1):
            counts = torch.bincount(channel.flatten(), minlength=_LEVELS).double()
            share = counts / channel.numel()
            mean = (share * levels).sum()
            deviation = float((share * (levels - mean).square()).sum().sqrt())
            means.append(float(mean))
            deviations.append(deviation or 1.0)
        return cls(mean=tuple(means), deviation=tuple(deviations))

    def apply(self, images: Tensor) -> Tensor:
        """Return ``images`` (N, C, H, W) uint8 as normalised float32, laid out as they are."""
        innermost = images.ndim == _IMAGES and images.stride(1) == 1 < images.shape[1]
        if innermost and images.is_contiguous(memory_format=torch.channels_last):
            return self._of_rows(images)
        mean = torch.tensor(self.mean).view(1, -1, 1, 1)
        deviation = torch.tensor(self.deviation).view(1, -1, 1, 1)
        return images.float().sub_(mean).div_(deviation)

    def _of_rows(self, images: Tensor) -> Tensor:
        """Do the same to images with channels innermost, row by row: a third less time."""
        count, channels, height, width = images.shape
        rows = images.permute(0, 2, 3, 1).reshape(count, height, width * channels).float()
        for values, change in ((self.mean, Tensor.sub_), (self.deviation, Tensor.div_)):
            change(rows, torch.tensor(values).expand(channels).repeat(width))
        return rows.view(count, height, width, channels).permute(0, 3, 1, 2)

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Return ``pixels`` (N, C, H, W) from 0 to 1 as inputs; gradients pass through."""
        mean, deviation = self._in_shares(pixels)
        return (pixels - mean) / deviation

    def to_pixels(self, inputs: Tensor) -> Tensor:
        """Return inputs (N, C, H, W) as pixels from 0 to 1."""
        mean, deviation = self._in_shares(inputs)
        return inputs * deviation + mean

    def _in_shares(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation as shares of the largest pixel."""
        shape = (1, -1, *(1,) * (like.ndim - 2))
        mean = torch.tensor(self.mean).view(shape).to(like.device)
        deviation = torch.tensor(self.deviation).view(shape).to(like.device)
        return mean / (_LEVELS - 1), deviation / (_LEVELS - 1)


IDENTITY = Normalisation()
# Of inputs that are pixels from 0 to 1 as they are.
PIXELS = Normalisation(deviation=(float(_LEVELS - 1),))
