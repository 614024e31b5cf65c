"""Your own images: a folder a class, below train/ and val/ (the layout of ImageNet)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.raw_images import RawImages, make_dataset
from growsearch.errors import UsageError

SIZE_PIXELS = 64

_SUFFIXES = (".png", ".jpg", ".jpeg")
_FORMATS = ("PNG", "JPEG")
_INPUT_BYTES = 4


def load(data_dir: Path | None) -> Dataset:
    """Return the images of train/ (a tenth of them held out as validation) and of val/ as test.

    Inputs are (N, 3, 64, 64): the shorter side is resized to 64 pixels and the middle cut out.
    Classes are numbered in the order of their folders' names. Training images are shifted and
    mirrored.

    Raises:
        UsageError: if a folder is missing or empty, val/ has a class of its own, an image cannot be
            read, or all of them do not fit into memory.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: image-folder needs a folder. {_EXPECTED}")
    classes = _class_folders(data_dir / "train")
    unknown = set(_class_folders(data_dir / "val")) - set(classes)
    if unknown:
        raise UsageError(f"{data_dir / 'val'}: no training images of {', '.join(sorted(unknown))}")
    files = {part: _image_files(data_dir / part, classes) for part in ("train", "val")}
    _check_memory(data_dir, sum(len(paths) for paths in files.values()))
    return make_dataset(
        "image-folder",
        _read_all(files["train"]),
        _read_all(files["val"]),
        num_classes=len(classes),
        augmentation=SHIFT_MIRROR,
    )


_EXPECTED = "Expected: data_dir/train/CLASS/*.png and data_dir/val/CLASS/*.png (or .jpg, .jpeg)"


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UsageError(f"data_dir: {folder} is missing. {_EXPECTED}")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if not names:
        raise UsageError(f"data_dir: {folder} has no class folders. {_EXPECTED}")
    return names


def _image_files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """Return every image with its class's number, in an order that no file system changes."""
    return [
        (path, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in _SUFFIXES
    ]


def _check_memory(data_dir: Path, count: int) -> None:
    """Refuse before reading for minutes what the machine will then kill us for."""
    needed = count * 3 * SIZE_PIXELS**2 * (_INPUT_BYTES + 1)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > total:
        raise UsageError(
            f"data_dir: {data_dir} has {count:,} images, which need {needed / 1e9:.0f} GB of "
            f"memory; this machine has {total / 1e9:.0f} GB. Use fewer images"
        )


def _read_all(files: list[tuple[Path, int]]) -> RawImages:
    images = np.empty((len(files), SIZE_PIXELS, SIZE_PIXELS, 3), dtype=np.uint8)
    for index, (path, _) in enumerate(files):
        images[index] = np.asarray(_read(path))
    return RawImages(
        images=torch.from_numpy(images).permute(0, 3, 1, 2),
        labels=torch.tensor([label for _, label in files], dtype=torch.long),
    )


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            # JPEG decodes straight to a smaller size, much faster.
            image.draft("RGB", (2 * SIZE_PIXELS, 2 * SIZE_PIXELS))
            scale = SIZE_PIXELS / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            return _centre(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(
            f"{path}: not a readable PNG or JPEG image ({error}); remove it"
        ) from error


def _centre(image: Image.Image) -> Image.Image:
    left, top = (image.width - SIZE_PIXELS) // 2, (image.height - SIZE_PIXELS) // 2
    return image.crop((left, top, left + SIZE_PIXELS, top + SIZE_PIXELS))
