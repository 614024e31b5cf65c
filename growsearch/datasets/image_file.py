"""Picture files of any size, read as a square: shorter side resized, the middle cut out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from growsearch.errors import UsageError

SIZE_PIXELS = 64
SUFFIXES = (".png", ".jpg", ".jpeg")

_FORMATS = ("PNG", "JPEG")
_INPUT_BYTES, _LABEL_BYTES = 4, 8
# Grey levels, or places in a palette: one number of 8 bits a pixel.
_MASK_MODES = ("L", "P")
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def picture_files(folder: Path) -> list[Path]:
    """Return the PNG and JPEG files of ``folder``, in an order that no file system changes."""
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]


def check_memory(data_dir: Path, count: int, *, masks: bool = False) -> None:
    """Refuse before reading for minutes what the machine will then kill us for.

    With ``masks`` every image has one, and both lie there twice while they are put together.

    Raises:
        UsageError: if ``count`` images do not fit.
    """
    pixel_bytes = 3 * (_INPUT_BYTES + 1) + (2 * _LABEL_BYTES if masks else 0)
    needed = count * pixel_bytes * SIZE_PIXELS**2
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > total:
        raise UsageError(
            f"data_dir: {data_dir} has {count:,} images, which need {needed / 1e9:.0f} GB of "
            f"memory; this machine has {total / 1e9:.0f} GB. Use fewer images"
        )


def read_images(paths: Sequence[Path]) -> Tensor:
    """Return the images (N, 3, 64, 64) uint8.

    Raises:
        UsageError: naming a file that cannot be read.
    """
    images = np.empty((len(paths), SIZE_PIXELS, SIZE_PIXELS, 3), dtype=np.uint8)
    for index, path in enumerate(paths):
        images[index] = np.asarray(_read_image(path))
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def read_mask(path: Path, image: Path) -> Tensor:
    """Return the numbers (64, 64) uint8 of a mask, cut as its ``image`` is; no number is mixed.

    Raises:
        UsageError: if it cannot be read, has several channels, or another size than the image.
    """
    try:
        with Image.open(path, formats=("PNG",)) as mask:
            if mask.mode not in _MASK_MODES:
                raise UsageError(
                    f"{path}: a mask of mode {mask.mode}; give one number of 8 bits a pixel, the "
                    "class: grey levels or a palette"
                )
            with Image.open(image, formats=_FORMATS) as beside:
                size = beside.size
            if mask.mode == "L" and str(mask.tile[0][3]) != "L":
                # Pillow stretches grey levels of 1, 2 and 4 bits to 255.
                raise UsageError(
                    f"{path}: grey levels of fewer than 8 bits a pixel, which would not be read as "
                    "they are; write it with 8 bits"
                )
            if mask.size != size:
                raise UsageError(
                    f"{path}: a mask of {mask.width} x {mask.height} for an image of {size[0]} x "
                    f"{size[1]}; give it the image's size"
                )
            # A palette's colours are for people; its places are the classes.
            numbers = Image.fromarray(np.asarray(mask))
            return torch.from_numpy(np.array(_square(numbers, Image.Resampling.NEAREST)))
    except _UNREADABLE as error:
        raise UsageError(f"{path}: not a readable PNG mask ({error}); mend or remove it") from error


def _read_image(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            # JPEG decodes straight to a smaller size, much faster.
            image.draft("RGB", (2 * SIZE_PIXELS, 2 * SIZE_PIXELS))
            return _square(image.convert("RGB"), Image.Resampling.BILINEAR)
    except _UNREADABLE as error:
        raise UsageError(
            f"{path}: not a readable PNG or JPEG image ({error}); remove it"
        ) from error


def _square(image: Image.Image, resampling: Image.Resampling) -> Image.Image:
    scale = SIZE_PIXELS / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), resampling)
    left, top = (image.width - SIZE_PIXELS) // 2, (image.height - SIZE_PIXELS) // 2
    return image.crop((left, top, left + SIZE_PIXELS, top + SIZE_PIXELS))
