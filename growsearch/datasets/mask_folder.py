"""Your own segmentation data: images and masks of one name, below train/ and val/."""

from __future__ import annotations

from pathlib import Path

import torch

from growsearch.datasets.augmentation import NO_AUGMENTATION
from growsearch.datasets.dataset import UNLABELLED, Dataset
from growsearch.datasets.image_file import check_memory, picture_files, read_images, read_mask
from growsearch.datasets.raw_images import RawImages, make_dataset
from growsearch.errors import UsageError

# As in Pascal VOC (Everingham et al. 2010): "void", borders and what nobody could tell.
_VOID = 255
_EXPECTED = (
    "Expected: data_dir/train/images/NAME.png (or .jpg, .jpeg) with data_dir/train/masks/NAME.png, "
    "and the same below data_dir/val"
)
_Pair = tuple[Path, Path]


def load(data_dir: Path | None) -> Dataset:
    """Return the images of train/ (a tenth of them held out as validation) and of val/ as test.

    Inputs are (N, 3, 64, 64), labels (N, 64, 64): shorter sides are resized to 64 pixels and the
    middle is cut out; masks take the nearest pixel. A mask's number is the class; 255 becomes
    UNLABELLED.

    Raises:
        UsageError: if a folder or a partner is missing, a file cannot be read, a mask has no class
            at all, val/ has a class that train/ lacks, or all of them do not fit into memory.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: mask-folder needs a folder. {_EXPECTED}")
    pairs = {part: _pairs(data_dir / part) for part in ("train", "val")}
    check_memory(data_dir, sum(map(len, pairs.values())), masks=True)
    train, test = _read(pairs["train"]), _read(pairs["val"])
    classes = int(train.labels.max()) + 1
    if int(test.labels.max()) >= classes:
        raise UsageError(
            f"{data_dir / 'val'}: class {int(test.labels.max())} is in no mask of train, which has "
            f"0 to {classes - 1} (in the middle that is cut out); number the classes from 0, and "
            "use 255 for pixels without one"
        )
    return make_dataset(
        "mask-folder", train, test, num_classes=classes, augmentation=NO_AUGMENTATION
    )


def _pairs(folder: Path) -> list[_Pair]:
    """Return every image with its mask."""
    images, masks = folder / "images", folder / "masks"
    for part in (images, masks):
        if not part.is_dir():
            raise UsageError(f"data_dir: {part} is missing. {_EXPECTED}")
    pairs = [(path, masks / f"{path.stem}.png") for path in picture_files(images)]
    if not pairs:
        raise UsageError(f"data_dir: {images} has no images. {_EXPECTED}")
    for image, mask in pairs:
        if not mask.is_file():
            raise UsageError(f"{image} has no mask {mask}; add it, or remove the image")
    return pairs


def _read(pairs: list[_Pair]) -> RawImages:
    labels = []
    for image, path in pairs:
        mask = read_mask(path, image).long()
        mask[mask == _VOID] = UNLABELLED
        if not bool((mask >= 0).any()):
            raise UsageError(
                f"{path}: no pixel has a class, in the middle that is cut out; remove it and its "
                "image"
            )
        labels.append(mask)
    return RawImages(images=read_images([image for image, _ in pairs]), labels=torch.stack(labels))
