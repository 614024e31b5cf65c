"""Affine maps of images, as Pillow's transform(AFFINE, BILINEAR) does them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def affine(images: Tensor, matrices: Tensor, *, fill: float | None) -> Tensor:
    """Return ``images`` (N, C, H, W) seen through maps from places of results to theirs.

    Places are in pixels, the first pixel's middle at 0.5. A place between middles is interpolated;
    beyond the outermost middles an image goes on as it is there.

    Args:
        images: floating-point numbers.
        matrices: (N, 2, 3): (x, y) of the image = matrix @ (x, y, 1) of the result.
        fill: what is outside of the image; None: as at its border.
    """
    count, _, height, width = images.shape
    rows = torch.arange(height, dtype=torch.float64) + 0.5
    columns = torch.arange(width, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(-1, 3)
    found = (places @ matrices.double().transpose(1, 2)).view(count, height, width, 2)
    sides = torch.tensor([width, height], dtype=torch.float64)
    grid = (2 * found / sides - 1).to(images)
    # Bilinear, beyond the border as at it, middles of pixels at halves.
    seen: Tensor = F.grid_sample(images, grid, "bilinear", "border", align_corners=False)
    if fill is None:
        return seen
    inside = ((found >= 0) & (found < sides)).all(dim=-1).unsqueeze(1).to(images.device)
    return torch.where(inside, seen, torch.full_like(seen, fill))


def centred(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return linear maps (N, 2, 2) as maps (N, 2, 3) that leave the image's middle where it is."""
    middle = torch.tensor([width / 2, height / 2], dtype=matrices.dtype)
    moved = middle - matrices @ middle
    return torch.cat([matrices, moved.unsqueeze(2)], dim=2)
