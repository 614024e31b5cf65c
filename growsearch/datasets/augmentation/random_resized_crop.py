"""Random resized crop: a part of the image of another size and shape, stretched to the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.datasets.augmentation.draws import check_range, uniform
from growsearch.datasets.augmentation.geometry import affine

# As the usual code does: after so many tries that do not fit, the middle is taken.
_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomResizedCrop:
    """A box with a share of the area in ``scale`` and width / height in ``ratio``, made the whole.

    Szegedy et al. 2015 (arXiv 1409.4842, section 6). Sides are whole pixels, enlarged bilinearly
    as Pillow's resize(box=...) does.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        check_range("random-resized-crop", "scale", self.scale, most=1.0)
        check_range("random-resized-crop", "ratio", self.ratio, most=100.0)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return parts of ``images`` (N, C, H, W), each of the same size as the whole."""
        count, _, height, width = images.shape
        boxes = self.boxes(count, (height, width), generator).double()
        matrices = torch.zeros(count, 2, 3, dtype=torch.float64)
        matrices[:, 0, 0], matrices[:, 0, 2] = boxes[:, 2] / width, boxes[:, 0]
        matrices[:, 1, 1], matrices[:, 1, 2] = boxes[:, 3] / height, boxes[:, 1]
        return affine(images, matrices, fill=None)

    def boxes(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Return boxes (count, 4) int64: left, top, width and height, in images of (H, W)."""
        height, width = size
        shape = (count, _TRIES)
        area = height * width * uniform(shape, self.scale, generator)
        low, high = (math.log(each) for each in self.ratio)
        ratio = uniform(shape, (low, high), generator).exp()
        wide = (area * ratio).sqrt().round().long()
        high_ = (area / ratio).sqrt().round().long()
        fits = (wide >= 1) & (wide <= width) & (high_ >= 1) & (high_ <= height)
        first = fits.to(torch.int8).argmax(dim=1, keepdim=True)
        found = torch.cat([wide.gather(1, first), high_.gather(1, first)], dim=1)
        spare = self._middle(height, width)
        found = torch.where(fits.any(dim=1, keepdim=True), found, spare)
        # Where it lies: every whole place is as likely.
        places = uniform((count, 2), (0.0, 1.0), generator).double()
        room = torch.tensor([width, height]) - found + 1
        corner = (places * room).long()
        corner = torch.where(fits.any(dim=1, keepdim=True), corner, (room - 1) // 2)
        return torch.cat([corner, found], dim=1)

    def _middle(self, height: int, width: int) -> Tensor:
        """Return the largest sides (2,), width first, whose ratio is allowed."""
        least, most = self.ratio
        if width / height < least:
            return torch.tensor([width, max(1, round(width / least))])
        if width / height > most:
            return torch.tensor([max(1, round(height * most)), height])
        return torch.tensor([width, height])
