"""Your own images: a folder a class, below train/ and val/ (the layout of ImageNet)."""

from __future__ import annotations

from pathlib import Path

import torch

from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.image_file import check_memory, picture_files, read_images
from growsearch.datasets.raw_images import RawImages, make_dataset
from growsearch.errors import UsageError


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
    check_memory(data_dir, sum(len(paths) for paths in files.values()))
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
        for path in picture_files(folder / name)
    ]


def _read_all(files: list[tuple[Path, int]]) -> RawImages:
    return RawImages(
        images=read_images([path for path, _ in files]),
        labels=torch.tensor([label for _, label in files], dtype=torch.long),
    )
