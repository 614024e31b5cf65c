"""Picture files of any size, read at one size: resized to cover it, the middle cut out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.memory import check_memory_for
from growsearch.datasets.reading.picture import Embedded, opened, read_picture, size_in_header
from growsearch.datasets.reading.picture_pixels import TURNED, Seen, covering, stored_mode
from growsearch.errors import UsageError

SIZE_PIXELS = 64

# (height, width) in pixels.
Size = tuple[int, int]
_SQUARE: Size = (SIZE_PIXELS, SIZE_PIXELS)

_INPUT_BYTES, _LABEL_BYTES = 4, 8
# Grey levels, or places in a palette: one number of 8 bits a pixel.
_MASK_MODES = ("L", "P")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImages:
    """Images (N, 3, H, W) uint8, the sizes (width, height) of their files, and what was changed.

    ``sizes`` and ``changes`` count images.
    """

    images: Tensor
    sizes: Counter[tuple[int, int]]
    changes: Counter[str]


def needed_bytes(count: int, size: Size, *, masks: bool = False) -> int:
    """Return what ``count`` images of ``size`` take in memory while they are read.

    With ``masks`` every image has one, and both lie there twice while they are put together.
    """
    pixel_bytes = 3 * (_INPUT_BYTES + 1) + (2 * _LABEL_BYTES if masks else 0)
    return count * pixel_bytes * size[0] * size[1]


def check_memory(data_dir: Path, count: int, *, masks: bool = False) -> None:
    """Refuse before reading for minutes what the machine will then kill us for.

    Raises:
        UsageError: if ``count`` images of 64 x 64 do not fit.
    """
    needed = needed_bytes(count, _SQUARE, masks=masks)
    check_memory_for(f"data_dir: {data_dir}", f"{count:,} images", needed)


def read_images(
    paths: Sequence[Path | Embedded], *, size: Size = _SQUARE, masked: bool = False
) -> ReadImages:
    """Return the images at ``size``, each as a person sees it, in the order of ``paths``.

    Raises:
        UsageError: naming a file that cannot be read, or one with a mask that its EXIF data turn:
            nobody knows whether the mask is turned with it.
    """
    images = np.empty((len(paths), *size, 3), dtype=np.uint8)
    sizes: Counter[tuple[int, int]] = Counter()
    changes: Counter[str] = Counter()
    for index, path in enumerate(paths):
        picture = _read_picture(path, size)
        if masked and TURNED in picture.changes:
            raise UsageError(
                f"{shown(path)}: its EXIF orientation turns it, and its mask may be of the turned "
                "image or of the other; save both upright, without EXIF"
            )
        images[index] = np.asarray(picture.image)
        sizes[picture.size] += 1
        changes.update(picture.changes)
    return ReadImages(
        images=torch.from_numpy(images).permute(0, 3, 1, 2), sizes=sizes, changes=changes
    )


def read_pixels(path: Path | Embedded, size: Size, *, grey: bool = False) -> Tensor:
    """Return one image (H, W, 3) uint8 at ``size``, or (H, W, 1) of grey levels.

    Raises:
        UsageError: naming a file that cannot be read.
    """
    image = _read_picture(path, size).image
    if grey:
        image = image.convert("L")
    return torch.from_numpy(np.array(image)).reshape(*size, -1)


def read_mask(path: Path, image: Path) -> Tensor:
    """Return the numbers (64, 64) uint8 of a mask, cut as its ``image`` is; no number is mixed.

    Raises:
        UsageError: if it cannot be read, has several channels, or another size than the image.
    """
    size = _size(image)
    with (
        reading(path, "not a readable PNG mask", "mend or remove it"),
        opened(path, ("PNG",)) as mask,
    ):
        _check_mask(path, mask, size)
        # A palette's colours are for people; its places are the classes.
        numbers = Image.fromarray(np.asarray(mask))
        return torch.from_numpy(np.array(covering(numbers, *_SQUARE, Image.Resampling.NEAREST)))


def _check_mask(path: Path, mask: Image.Image, size: tuple[int, int]) -> None:
    if mask.mode not in _MASK_MODES:
        raise UsageError(
            f"{shown(path)}: a mask of mode {mask.mode}; give one number of 8 bits a pixel, the "
            "class: grey levels or a palette"
        )
    if mask.mode == "L" and stored_mode(mask) != "L":
        # Pillow stretches grey levels of 1, 2 and 4 bits to 255.
        raise UsageError(
            f"{shown(path)}: grey levels of fewer than 8 bits a pixel, which would not be read as "
            "they are; write it with 8 bits"
        )
    if mask.size != size:
        raise UsageError(
            f"{shown(path)}: a mask of {mask.width} x {mask.height} for an image of {size[0]} x "
            f"{size[1]}; give it the image's size"
        )


def _size(path: Path) -> tuple[int, int]:
    with _image_boundary(path), opened(path) as image:
        return image.size


def common_size(paths: Sequence[Path | Embedded]) -> Size | None:
    """Return the (height, width) that all pictures have as a person sees them; None: they differ.

    Only their headers are read.

    Raises:
        UsageError: naming a file that cannot be read.
    """
    found: tuple[int, int] | None = None
    for path in paths:
        with _image_boundary(path):
            size = size_in_header(path)
        if found is not None and size != found:
            return None
        found = size
    return None if found is None else (found[1], found[0])


def _read_picture(path: Path | Embedded, size: Size) -> Seen:
    """Return the middle of a picture, as large as fits into the shape of ``size``."""
    with _image_boundary(path):
        return read_picture(path, *size)


def _image_boundary(path: Path | Embedded) -> AbstractContextManager[None]:
    return reading(str(path), "not a readable PNG or JPEG image", "mend or remove it")
