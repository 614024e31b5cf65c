"""Your own segmentation data: images and masks of one name, below train/ and val/."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION
from growsearch.datasets.dataset import UNLABELLED, Dataset
from growsearch.datasets.raw_images import check_counts, make_dataset
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.image_file import ReadImages, check_memory, read_images, read_mask
from growsearch.datasets.reading.image_files import HIDDEN, image_files, is_left_behind
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.report import DataReport, counted, extremes, skipped_of
from growsearch.errors import UsageError

# As in Pascal VOC (Everingham et al. 2010): "void", borders and what nobody could tell.
_VOID = 255
_EXPECTED = (
    "Expected: data_dir/train/images/NAME.png (or .jpg, .jpeg) with data_dir/train/masks/NAME.png, "
    "and the same below data_dir/val"
)
_PARTS = ("train", "val")
_NO_PARTNER = "in masks that no image goes with"
_Pair = tuple[Path, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Every image with its mask, and (reason, path) of what is left out."""

    pairs: tuple[_Pair, ...]
    skipped: tuple[tuple[str, Path], ...]


def load(data_dir: Path | None) -> Dataset:
    """Return the images of train/ (a tenth of them held out as validation) and of val/ as test.

    Inputs are (N, 3, 64, 64), labels (N, 64, 64): shorter sides are resized to 64 pixels and the
    middle is cut out; masks take the nearest pixel. A mask's number is the class; 255 becomes
    UNLABELLED. Masks without an image are left out, which the data set's report tells.

    Raises:
        UsageError: if a folder or a partner is missing, a file cannot be read, a mask has no class
            at all, val/ has a class that train/ lacks, train/ has one class or less than half of
            the numbers up to its largest, or all of them do not fit into memory.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: mask-folder needs a folder. {_EXPECTED}")
    with reading(f"data_dir: {data_dir}", "no folder of masks that can be read", _EXPECTED):
        parts = [_part(data_dir / name) for name in _PARTS]
        if (data_dir / "train").resolve() == (data_dir / "val").resolve():
            raise UsageError(
                f"data_dir: {shown(data_dir)} has one folder as train and val; give two"
            )
        train, test = (len(part.pairs) for part in parts)
        check_counts("mask-folder", train, test)
        check_memory(data_dir, sum(len(part.pairs) for part in parts), masks=True)
        labels = [_read_masks(part.pairs) for part in parts]
        classes, notes = _classes(data_dir, *labels)
        images = [read_images([image for image, _ in part.pairs], masked=True) for part in parts]
    raw = [RawImages(images=x.images, labels=y) for x, y in zip(images, labels, strict=True)]
    return make_dataset(
        "mask-folder",
        *raw,
        num_classes=classes,
        augmentation=NO_AUGMENTATION,
        report=_report(data_dir, parts, images, notes),
    )


def _part(folder: Path) -> _Part:
    """Return every image of train/ or val/ with its mask."""
    images, masks = folder / "images", folder / "masks"
    for part in (images, masks):
        if not part.is_dir():
            raise UsageError(f"data_dir: {shown(part)} is missing. {_EXPECTED}")
    found = image_files(images)
    if not found.images:
        raise UsageError(f"data_dir: {shown(images)} has no images. {_EXPECTED}")
    pairs = tuple((path, masks / f"{path.stem}.png") for path in found.images)
    _check_partners(pairs)
    partners = {mask for _, mask in pairs}
    lonely = [path for path in sorted(masks.iterdir()) if path not in partners]
    left_out = ((HIDDEN if is_left_behind(path.name) else _NO_PARTNER, path) for path in lonely)
    return _Part(pairs=pairs, skipped=(*found.skipped, *left_out))


def _check_partners(pairs: tuple[_Pair, ...]) -> None:
    for image, mask in pairs:
        if not mask.is_file():
            raise UsageError(
                f"{shown(image)} has no mask {shown(mask)}; add it, or remove the image"
            )
    uses = Counter(mask for _, mask in pairs)
    twice = [image for image, mask in pairs if uses[mask] > 1]
    if twice:
        raise UsageError(
            f"{shown(twice[0])} and {shown(twice[1].name)} have one mask between them; give each "
            "image a name and a mask of its own"
        )


def _read_masks(pairs: tuple[_Pair, ...]) -> Tensor:
    """Return the labels (N, 64, 64) int64 of masks."""
    labels = []
    for image, path in pairs:
        mask = read_mask(path, image).long()
        mask[mask == _VOID] = UNLABELLED
        if not bool((mask >= 0).any()):
            raise UsageError(
                f"{shown(path)}: no pixel has a class, in the middle that is cut out; remove it "
                "and its image"
            )
        labels.append(mask)
    return torch.stack(labels)


def _classes(data_dir: Path, train: Tensor, test: Tensor) -> tuple[int, tuple[str, ...]]:
    """Return how many classes there are, and what a person should know of their numbers."""
    found = [int(number) for number in np.unique(train.numpy()) if number != UNLABELLED]
    classes = found[-1] + 1
    if int(test.max()) >= classes:
        raise UsageError(
            f"{shown(data_dir / 'val')}: class {int(test.max())} is in no mask of train, which has "
            f"0 to {classes - 1} (in the middle that is cut out); number the classes from 0, and "
            "use 255 for pixels without one"
        )
    numbers = ", ".join(map(str, found[:10]))
    if len(found) == 1:
        raise UsageError(
            f"{shown(data_dir / 'train')}: one class, {numbers}, in all masks (in the middle that "
            "is cut out), which can teach nothing; number the classes from 0 on: 255 means a pixel "
            "without one"
        )
    if 2 * len(found) < classes:
        raise UsageError(
            f"{shown(data_dir / 'train')}: {len(found)} numbers occur in the masks ({numbers}), "
            f"which would make {classes} classes; number them from 0 to {len(found) - 1}"
        )
    lacking = sorted(set(range(classes)) - set(found))
    if not lacking:
        return classes, ()
    listed = ", ".join(map(str, lacking[:10]))
    return classes, (f"no mask of train has class {listed}; {classes} classes are counted",)


def _report(
    data_dir: Path, parts: list[_Part], images: list[ReadImages], notes: tuple[str, ...]
) -> DataReport:
    skipped = [entry for part in parts for entry in part.skipped]
    return DataReport(
        sizes=extremes(images[0].sizes + images[1].sizes),
        changes=counted(images[0].changes + images[1].changes),
        skipped=skipped_of((reason, str(path.relative_to(data_dir))) for reason, path in skipped),
        notes=notes,
    )
