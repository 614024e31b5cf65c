"""Your own images: a folder a class, below train/ and val/ (the layout of ImageNet)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.raw_images import check_counts, make_dataset
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.image_file import ReadImages, check_memory, read_images
from growsearch.datasets.reading.image_files import (
    HIDDEN,
    NO_IMAGE,
    folder_above,
    image_files,
    is_image,
    is_left_behind,
)
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.report import DataReport, counted, extremes, skipped_of
from growsearch.errors import UsageError

_PARTS = ("train", "val")
_EXPECTED = "Expected: data_dir/train/CLASS/*.png and data_dir/val/CLASS/*.png (or .jpg, .jpeg)"
_LOOP = "a link to a folder above it"
_BESIDE = "beside train and val"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The images of train/ or val/ by class, and (reason, path) of what is left out."""

    images: dict[str, tuple[Path, ...]]
    skipped: tuple[tuple[str, Path], ...]

    def __len__(self) -> int:
        return sum(map(len, self.images.values()))


def load(data_dir: Path | None) -> Dataset:
    """Return the images of train/ (a tenth of them held out as validation) and of val/ as test.

    Inputs are (N, 3, 64, 64): the shorter side is resized to 64 pixels and the middle cut out.
    Images are taken as a person sees them: upright by their EXIF data, on white where they are
    transparent, 16 bits scaled to 8. Classes are numbered in the order of their folders' names.
    Training images are shifted and mirrored. Hidden folders and files that are no images are left
    out, which the data set's report tells.

    Raises:
        UsageError: if a folder is missing or empty, val/ has a class of its own, there are fewer
            than two classes, an image cannot be read or lies where it would be left out, or all of
            them do not fit into memory.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: image-folder needs a folder. {_EXPECTED}")
    with reading(f"data_dir: {data_dir}", "no folder of images that can be read", _EXPECTED):
        train, val = (_part(data_dir, name) for name in _PARTS)
        classes = sorted(train.images)
        _check_classes(data_dir, train, val)
        _check_apart(data_dir)
        check_memory(data_dir, len(train) + len(val))
        read = [_read_all(part, classes) for part in (train, val)]
    return make_dataset(
        "image-folder",
        *(raw for raw, _ in read),
        num_classes=len(classes),
        augmentation=SHIFT_MIRROR,
        report=_report(data_dir, (train, val), [images for _, images in read]),
    )


def _part(data_dir: Path, name: str) -> _Part:
    """Look through train/ or val/; nothing is read yet."""
    folder = data_dir / name
    if not folder.is_dir():
        raise UsageError(f"data_dir: {shown(folder)} is missing{_found(data_dir)}. {_EXPECTED}")
    images: dict[str, tuple[Path, ...]] = {}
    skipped: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        reason = _why_no_class(path)
        if reason is not None:
            skipped.append((reason, path))
            continue
        content = image_files(path)
        images[path.name] = content.images
        skipped.extend(content.skipped)
    if not images:
        raise UsageError(
            f"data_dir: {shown(folder)} has no class folders{_found(folder)}. {_EXPECTED}"
        )
    return _Part(images=images, skipped=tuple(skipped))


def _why_no_class(path: Path) -> str | None:
    if is_left_behind(path.name):
        return HIDDEN
    if not path.is_dir():
        if is_image(path):
            raise UsageError(
                f"{shown(path)}: an image beside the class folders; move it into its class. "
                f"{_EXPECTED}"
            )
        return NO_IMAGE
    return _LOOP if folder_above(path) else None


def _found(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())[:10] if folder.is_dir() else []
    return f" (found there: {', '.join(map(shown, names))})" if names else ""


def _check_classes(data_dir: Path, train: _Part, val: _Part) -> None:
    unknown = set(val.images) - set(train.images)
    if unknown:
        names = ", ".join(map(shown, sorted(unknown)))
        raise UsageError(f"{shown(data_dir / 'val')}: no training images of {names}")
    empty = sorted(name for name, paths in train.images.items() if not paths)
    if empty:
        names = ", ".join(map(shown, empty))
        raise UsageError(
            f"{shown(data_dir / 'train')}: no images of class {names}, which would be "
            "counted all the same; add PNG or JPEG images, or remove the folder"
        )
    check_counts("image-folder", len(train), len(val))
    if len(train.images) == 1:
        raise UsageError(
            f"{shown(data_dir / 'train')}: one class, {shown(*train.images)}, can teach nothing; "
            f"give at least two. {_EXPECTED}"
        )


def _check_apart(data_dir: Path) -> None:
    """Refuse one folder under two names: one image would have two classes, or test what it taught.

    Raises:
        UsageError: naming both.
    """
    known: dict[Path, Path] = {}
    for part in _PARTS:
        for path in sorted((data_dir / part).iterdir()):
            if not path.is_dir() or is_left_behind(path.name) or folder_above(path):
                continue
            place = path.resolve()
            if place in known:
                raise UsageError(
                    f"{shown(path)} is a link to {shown(known[place])}; give each a folder of "
                    "its own"
                )
            known[place] = path


def _read_all(part: _Part, classes: list[str]) -> tuple[RawImages, ReadImages]:
    files = [
        (path, label) for label, name in enumerate(classes) for path in part.images.get(name, ())
    ]
    read = read_images([path for path, _ in files])
    labels = torch.tensor([label for _, label in files], dtype=torch.long)
    return RawImages(images=read.images, labels=labels), read


def _report(data_dir: Path, parts: Iterable[_Part], read: list[ReadImages]) -> DataReport:
    train, val = parts
    skipped = [*train.skipped, *val.skipped, *_beside(data_dir)]
    lacking = sorted(name for name in train.images if not val.images.get(name))
    notes = (f"val has no images of {', '.join(map(shown, lacking))}",) if lacking else ()
    return DataReport(
        class_names=tuple(sorted(train.images)),
        sizes=extremes(read[0].sizes + read[1].sizes),
        changes=counted(read[0].changes + read[1].changes),
        skipped=skipped_of((reason, str(path.relative_to(data_dir))) for reason, path in skipped),
        notes=notes,
    )


def _beside(data_dir: Path) -> list[tuple[str, Path]]:
    return [(_BESIDE, path) for path in sorted(data_dir.iterdir()) if path.name not in _PARTS]
