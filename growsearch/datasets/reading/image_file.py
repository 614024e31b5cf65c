"""Picture files of any size, read as a square: shorter side resized, the middle cut out."""

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
from growsearch.datasets.reading.picture import (
    TURNED,
    Picture,
    opened,
    read_picture,
    stored_mode,
)
from growsearch.errors import UsageError

SIZE_PIXELS = 64

_INPUT_BYTES, _LABEL_BYTES = 4, 8
# Grey levels, or places in a palette: one number of 8 bits a pixel.
_MASK_MODES = ("L", "P")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImages:
    """Images (N, 3, 64, 64) uint8, the sizes (width, height) of their files, and what was changed.

    ``sizes`` and ``changes`` count images.
    """

    images: Tensor
    sizes: Counter[tuple[int, int]]
    changes: Counter[str]


def check_memory(data_dir: Path, count: int, *, masks: bool = False) -> None:
    """Refuse before reading for minutes what the machine will then kill us for.

    With ``masks`` every image has one, and both lie there twice while they are put together.

    Raises:
        UsageError: if ``count`` images do not fit.
    """
    pixel_bytes = 3 * (_INPUT_BYTES + 1) + (2 * _LABEL_BYTES if masks else 0)
    needed = count * pixel_bytes * SIZE_PIXELS**2
    check_memory_for(f"data_dir: {data_dir}", f"{count:,} images", needed)


def read_images(paths: Sequence[Path], *, masked: bool = False) -> ReadImages:
    """Return the images, each as a person sees it, in the order of ``paths``.

    Raises:
        UsageError: naming a file that cannot be read, or one with a mask that its EXIF data turn:
            nobody knows whether the mask is turned with it.
    """
    images = np.empty((len(paths), SIZE_PIXELS, SIZE_PIXELS, 3), dtype=np.uint8)
    sizes: Counter[tuple[int, int]] = Counter()
    changes: Counter[str] = Counter()
    for index, path in enumerate(paths):
        picture = _read_picture(path)
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
        return torch.from_numpy(np.array(_square(numbers, Image.Resampling.NEAREST)))


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


def _read_image(path: Path) -> Image.Image:
    return _read_picture(path).image


def _read_picture(path: Path) -> Picture:
    """Return the middle square of a picture, 64 x 64."""
    with _image_boundary(path):
        picture = read_picture(path, least_side=2 * SIZE_PIXELS)
        square = _square(picture.image, Image.Resampling.BILINEAR)
        return Picture(image=square, size=picture.size, changes=picture.changes)


def _image_boundary(path: Path) -> AbstractContextManager[None]:
    return reading(path, "not a readable PNG or JPEG image", "mend or remove it")


def _square(image: Image.Image, resampling: Image.Resampling) -> Image.Image:
    scale = SIZE_PIXELS / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), resampling)
    left, top = (image.width - SIZE_PIXELS) // 2, (image.height - SIZE_PIXELS) // 2
    return image.crop((left, top, left + SIZE_PIXELS, top + SIZE_PIXELS))
