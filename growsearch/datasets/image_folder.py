"""Your own images: a folder a class, below train/ and val/ (the layout of ImageNet), or alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.folder_layout import EXPECTED, FolderLayout, layout_of
from growsearch.datasets.keys import NO_KEYS, USUAL_MEMORY, DataKeys
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.picture_files import PictureFiles
from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.reading.image_file import (
    ReadImages,
    Size,
    common_size,
    needed_bytes,
    read_images,
)
from growsearch.datasets.reading.memory import memory_bytes
from growsearch.datasets.report import DataReport, counted, extremes, skipped_of
from growsearch.datasets.streams.from_torch import normalised_note
from growsearch.datasets.streams.streamed_split import StreamedSplit, looked_at
from growsearch.errors import UsageError

_NAME = "image-folder"
# What ImageNet's networks read.
_USUAL_SIZE: Size = (224, 224)


def load(data_dir: Path | None, keys: DataKeys = NO_KEYS) -> Dataset:
    """Return images of class folders, in memory or, where they take too much of it, streamed.

    Below ``data_dir`` lie train/ and val/, the test, with a tenth of train/ held out as validation;
    or train/, val/ and test/; or one folder a class, of which a tenth each is held out for both
    (``keys`` say otherwise). Inputs are (N, 3, H, W): the images' own size if they agree, else 224
    x 224, which they are resized to cover, and the middle cut out. Images are taken as a person
    sees them: upright by their EXIF data, on white where they are transparent, 16 bits scaled to
    8. Classes are numbered in the order of their folders' names. They are normalised with the
    statistics of up to 2,048 training images. Training images are shifted and mirrored. Hidden
    folders and files that are no images are left out, which the data set's report tells.

    Raises:
        UsageError: if a folder is missing or empty, has a class of its own, there are fewer than
            two classes, an image cannot be read or lies where it would be left out.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: {_NAME} needs a folder. {EXPECTED}")
    with reading(f"data_dir: {data_dir}", "no folder of images that can be read", EXPECTED):
        layout = layout_of(data_dir, keys)
        size, size_note = _size(layout, keys)
        needed = keys.copies * needed_bytes(len(layout.files), size)
        share = USUAL_MEMORY if keys.memory is None else keys.memory
        streamed = needed > share * memory_bytes()
        splits, normalisation, read = (_streamed if streamed else _in_memory)(layout, size)
    return Dataset(
        name=_NAME,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        num_classes=len(layout.classes),
        augmentation=SHIFT_MIRROR,
        normalisation=normalisation,
        report=DataReport(
            class_names=layout.classes,
            sizes=extremes(read.sizes),
            changes=counted(read.changes),
            skipped=skipped_of(
                (reason, str(path.relative_to(data_dir))) for reason, path in layout.skipped
            ),
            notes=(
                *layout.notes,
                size_note,
                f"{'streamed' if streamed else 'held in memory'}: {needed / 1e9:.2g} GB are "
                f"{'more' if streamed else 'no more'} than {share:.0%} of this machine's memory "
                "(data.memory)",
                *_looked_at(layout, size, read),
            ),
        ),
    )


def _size(layout: FolderLayout, keys: DataKeys) -> tuple[Size, str]:
    """Return the (height, width) at which images are read, and why."""
    if keys.image_size is not None:
        height, width = keys.image_size
        return keys.image_size, f"read at {width} x {height} (data.image_size)"
    own = common_size(layout.files)
    if own is None:
        height, width = _USUAL_SIZE
        return _USUAL_SIZE, (
            f"images of several sizes, read at {width} x {height}; data.image_size says otherwise"
        )
    return own, f"all images are {own[1]} x {own[0]}, and read so; data.image_size says otherwise"


_Read = tuple[list[Split], Normalisation, ReadImages]


def _streamed(layout: FolderLayout, size: Size) -> _Read:
    parts = (layout.train, layout.validation, layout.test)
    some = looked_at(len(layout.train), (3, *size))
    read = read_images(layout.train.at(some).paths, size=size)
    normalisation = Normalisation.of(read.images)
    splits: list[Split] = [
        StreamedSplit(PictureFiles(part, size, _NAME), normalisation=normalisation)
        for part in parts
    ]
    return splits, normalisation, read


def _in_memory(layout: FolderLayout, size: Size) -> _Read:
    parts = (layout.train, layout.validation, layout.test)
    read = [read_images(part.paths, size=size) for part in parts]
    # Of as many as where they are streamed: a network does not depend on the machine's memory.
    normalisation = Normalisation.of(read[0].images[looked_at(len(layout.train), (3, *size))])
    splits = [
        Split(inputs=normalisation.apply(each.images), labels=part.labels)
        for each, part in zip(read, parts, strict=True)
    ]
    sizes, changes = Counter[tuple[int, int]](), Counter[str]()
    for each in read:
        sizes.update(each.sizes)
        changes.update(each.changes)
    return splits, normalisation, ReadImages(images=read[0].images, sizes=sizes, changes=changes)


def _looked_at(layout: FolderLayout, size: Size, read: ReadImages) -> tuple[str, ...]:
    count, seen = len(looked_at(len(layout.train), (3, *size))), sum(read.sizes.values())
    note = normalised_note(count)
    if seen == len(layout.files):
        return (note,)
    return (note, f"sizes and changes are those of {seen:,} images; others are looked at when read")
