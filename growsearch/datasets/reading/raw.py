"""Raw images: pixels and labels as they are in files."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImages:
    """Images (N, C, H, W) uint8 as they are in the files, and their labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: Tensor) -> RawImages:
        """Return the images at ``indices``."""
        return RawImages(images=self.images[indices], labels=self.labels[indices])
