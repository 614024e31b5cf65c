"""Picture files as examples that are streamed: read one batch at a time, by workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from growsearch.datasets.folder_layout import Files
from growsearch.datasets.reading.image_file import Size, read_images
from growsearch.datasets.streams.loading import InputsAndLabels


class PictureFiles:
    """Images (3, H, W) uint8 from files, each as a person sees it."""

    def __init__(self, files: Files, size: Size, name: str) -> None:
        """Take files and the (height, width) at which they are read; nothing is read yet."""
        # One text a file: a million of `Path` objects take a gigabyte.
        self._paths = tuple(map(str, files.paths))
        self._size = size
        self.name = name
        self.shape: tuple[int, ...] = (3, *size)
        self.labels: Tensor | None = files.labels
        self.label_shape: tuple[int, ...] = ()
        self.label_type = files.labels.dtype

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, places: Sequence[int]) -> InputsAndLabels:
        """Return images (n, 3, H, W) uint8 and labels (n,).

        Raises:
            UsageError: naming a file that cannot be read.
        """
        read = read_images([Path(self._paths[place]) for place in places], size=self._size)
        assert self.labels is not None
        return read.images, self.labels[list(places)]
