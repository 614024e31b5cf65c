"""Images that Hugging Face's `datasets` wrote to disk (save_to_disk), streamed from there.

Nothing is downloaded and no code of a data set is run. Pictures are decoded by our own reader, with
its bounds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset, Split, labels_are
from growsearch.datasets.keys import (
    NO_KEYS,
    USUAL_SHARE,
    DataKeys,
    held_out_count,
    share_in_words,
)
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.image_file import ReadImages, Size, common_size, read_images
from growsearch.datasets.reading.picture import Embedded
from growsearch.datasets.report import DataReport, counted, extremes
from growsearch.datasets.stratified import check_classes_left, stratified_choice
from growsearch.datasets.streams.example_labels import learned
from growsearch.datasets.streams.from_torch import normalised_note
from growsearch.datasets.streams.loading import InputsAndLabels
from growsearch.datasets.streams.streamed_split import StreamedSplit, looked_at
from growsearch.datasets.task_choice import BY_LABELS, TaskChoice
from growsearch.errors import UsageError

_NAME = "hf-disk"
_EXPECTED = (
    "Expected: data_dir as save_to_disk of datasets.Dataset or DatasetDict wrote it, with a column "
    "of images and one of class labels"
)
# What save_to_disk writes of a data set, and of several splits.
_WRITTEN = ("state.json", "dataset_dict.json")
_TRAIN = "train"
_USUAL = {"validation": ("validation", "val", "valid", "dev"), "test": ("test",)}
_USUAL_SIZE: Size = (224, 224)
_LEAST = 10
_SEED = 0


class HFPictures:
    """Images (3, H, W) uint8 of one split, decoded when they are read."""

    def __init__(self, rows: Any, columns: tuple[str, str], labels: Tensor, place: str) -> None:
        """Take rows whose pictures are bytes, names of image and label, and the labels (N, ...)."""
        self._rows, self._image, self._place = rows, columns[0], place
        self.name = _NAME
        self.labels: Tensor | None = labels
        self.label_shape: tuple[int, ...] = tuple(labels.shape[1:])
        self.label_type = labels.dtype
        self.shape: tuple[int, ...] = (3, *_USUAL_SIZE)

    def at_size(self, size: Size) -> HFPictures:
        """Set the (height, width) at which images are read."""
        self.shape = (3, *size)
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, places: Sequence[int]) -> InputsAndLabels:
        """Return images (n, 3, H, W) uint8 and labels (n, ...).

        Raises:
            UsageError: naming the split and row of a picture that cannot be read.
        """
        assert self.labels is not None
        return self.looked_at(places).images, self.labels[list(places)]

    def looked_at(self, places: Sequence[int]) -> ReadImages:
        """Return images with their sizes and what was changed."""
        return read_images(self.pictures(places), size=(self.shape[1], self.shape[2]))

    def pictures(self, places: Sequence[int]) -> list[Embedded]:
        """Return the files of pictures as they lie in the data set."""
        with reading(self._place, "cannot be read", "write it again with save_to_disk"):
            found = self._rows[list(places)][self._image]
        pictures = []
        for place, picture in zip(places, found, strict=True):
            at = f"{self._place}, row {place:,}"
            if picture is None or not picture.get("bytes"):
                raise UsageError(f"{at}: no picture in column {self._image}; leave the row out")
            pictures.append(Embedded(place=at, content=picture["bytes"]))
        return pictures


def load(data_dir: Path | None, keys: DataKeys = NO_KEYS, task: TaskChoice = BY_LABELS) -> Dataset:
    """Return the streamed images of a folder that `datasets` wrote.

    The splits are train, validation and test where they are there; else a tenth of train is held
    out, stratified (``keys`` say otherwise). Images are (3, H, W), as those of `image_folder`.
    ``task`` says what a column of labels is that are no classes, numbers or lists of one length.

    Raises:
        UsageError: if `datasets` is not installed, or the folder is not as it should be.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: {_NAME} needs a folder. {_EXPECTED}")
    if not any((data_dir / name).is_file() for name in _WRITTEN):
        raise UsageError(f"data_dir: {shown(data_dir / _WRITTEN[0])} is missing. {_EXPECTED}")
    datasets = _library()
    with reading(f"data_dir: {data_dir}", "no data set of Hugging Face's on disk", _EXPECTED):
        found = datasets.load_from_disk(str(data_dir))
        splits = dict(found) if isinstance(found, datasets.DatasetDict) else {_TRAIN: found}
        return _made(data_dir, splits, keys, task)


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"dataset: {_NAME} needs the package datasets, which is not installed; "
            "pip install 'growsearch[hf]'"
        ) from error
    return datasets


def _made(data_dir: Path, rows: dict[str, Any], keys: DataKeys, task: TaskChoice) -> Dataset:
    if _TRAIN not in rows:
        raise UsageError(
            f"data_dir: {shown(data_dir)} has no split train (found there: "
            f"{', '.join(map(shown, sorted(rows)))}). {_EXPECTED}"
        )
    columns = _columns(data_dir, rows[_TRAIN], keys)
    places = _places(data_dir, rows, keys)
    parts = {part: where for part, where in places.items() if isinstance(where, str)}
    whole = _pictures(data_dir, _TRAIN, rows, columns, task.name)
    held = {
        part: _pictures(data_dir, name, rows, columns, task.name) for part, name in parts.items()
    }
    names, outputs = _outputs(data_dir, rows[_TRAIN], columns[1], (whole, *held.values()))
    shares = {part: share for part, share in places.items() if isinstance(share, float)}
    left, taken = _held_out(whole, shares)
    size, note = _size(whole, left, keys)
    for pictures in (whole, *held.values()):
        pictures.at_size(size)
    some = left[looked_at(len(left), whole.shape)]
    read = whole.looked_at(some.tolist())
    normalisation = Normalisation.of(read.images)

    def split(part: str) -> Split:
        if part in held:
            return StreamedSplit(held[part], normalisation=normalisation)
        return StreamedSplit(whole, normalisation=normalisation, chosen=taken[part])

    return Dataset(
        name=_NAME,
        train=StreamedSplit(whole, normalisation=normalisation, chosen=left),
        validation=split("validation"),
        test=split("test"),
        num_classes=outputs,
        # Whether the numbers of an own task stay true in a mirrored image, nobody knows here.
        augmentation=SHIFT_MIRROR if names or not task.is_own else NO_AUGMENTATION,
        normalisation=normalisation,
        report=DataReport(
            class_names=names,
            sizes=extremes(read.sizes),
            changes=counted(read.changes),
            notes=(_told(places), note, *_looked_notes(len(some))),
        ),
    )


def _outputs(
    data_dir: Path, rows: Any, label: str, parts: tuple[HFPictures, ...]
) -> tuple[tuple[str, ...], int]:
    """Return the names of classes, none where labels are others, and the outputs of a network."""
    whole = parts[0]
    assert whole.labels is not None
    if labels_are(whole.labels) == "one an example":
        names = _names(rows, label)
        classes = len(names) or _counted(data_dir, whole)
        _check_labels(data_dir, parts, classes)
        return names, classes
    for pictures in parts:
        if not len(pictures) or pictures.label_shape != whole.label_shape:
            raise UsageError(
                f"data_dir: {shown(data_dir)}: a split is empty, or has labels {label} of another "
                f"length than train; give all {whole.label_shape}"
            )
    _check_count(data_dir, whole)
    return (), math.prod(whole.label_shape)


def _told(places: dict[str, float | str]) -> str:
    said = {
        part: place if isinstance(place, str) else f"{share_in_words(place)} of train"
        for part, place in places.items()
    }
    return f"validation is {said['validation']}, the test {said['test']}"


def _looked_notes(count: int) -> tuple[str, str]:
    return normalised_note(count), f"sizes and changes are those of {count:,} images"


def _columns(data_dir: Path, rows: Any, keys: DataKeys) -> tuple[str, str]:
    """Return the names of the images' and the labels' column."""
    kinds = {name: type(feature).__name__ for name, feature in rows.features.items()}
    found = []
    for key, wanted, kind in (("input", keys.input, "Image"), ("label", keys.label, "ClassLabel")):
        fitting = [name for name, its in kinds.items() if its == kind]
        if wanted is not None:
            if wanted not in kinds:
                raise UsageError(
                    f"data.{key} = {wanted!r}: no such column; there are {_all(kinds)}"
                )
            if key == "input" and wanted not in fitting:
                raise UsageError(
                    f"data.input = {wanted!r}: a {kinds[wanted]}, and no column of images; there "
                    f"are {_all(kinds)}"
                )
            found.append(wanted)
        elif len(fitting) == 1:
            found.append(fitting[0])
        else:
            raise UsageError(
                f"data_dir: {shown(data_dir)} has {len(fitting)} columns of type {kind} "
                f"({_all(kinds)}); name the one that counts as data.{key}"
            )
    return found[0], found[1]


def _all(kinds: dict[str, str]) -> str:
    return ", ".join(f"{shown(name)} ({kind})" for name, kind in kinds.items())


def _names(rows: Any, label: str) -> tuple[str, ...]:
    return tuple(map(str, getattr(rows.features[label], "names", None) or ()))


def _places(data_dir: Path, rows: dict[str, Any], keys: DataKeys) -> dict[str, float | str]:
    """Return the split or the share of train that is the test, and the validation."""
    places: dict[str, float | str] = {}
    for part, wanted in (("test", keys.test), ("validation", keys.validation)):
        there = [name for name in _USUAL[part] if name in rows]
        usual = there[0] if there else USUAL_SHARE
        place = usual if wanted is None else wanted
        if isinstance(place, str) and (place not in rows or place == _TRAIN):
            raise UsageError(
                f"data.{part} = {place!r}: no other split of {shown(data_dir)}; there are "
                f"{', '.join(map(shown, sorted(rows)))}, or give a share of train such as 10%"
            )
        places[part] = place
    if places["test"] == places["validation"] and isinstance(places["test"], str):
        raise UsageError(
            f"data.validation and data.test = {places['test']!r}: a search would be judged by what "
            "it is reported on; give two splits, or a share of train such as 10%"
        )
    return places


def _pictures(
    data_dir: Path, name: str, rows: dict[str, Any], columns: tuple[str, str], task: str | None
) -> HFPictures:
    datasets, (image, label) = _library(), columns
    missing = [column for column in columns if column not in rows[name].features]
    if missing:
        raise UsageError(f"data_dir: {shown(data_dir)}: split {name} has no column {missing[0]}")
    labels = _labels(rows[name], label, name, task)
    bytes_only = rows[name].select_columns([image]).with_format(None)
    bytes_only = bytes_only.cast_column(image, datasets.Image(decode=False))
    where = f"{shown(data_dir)}: split {name}"
    return HFPictures(bytes_only, columns, labels, where)


def _labels(rows: Any, label: str, name: str, task: str | None) -> Tensor:
    """Return the labels (N, ...) of a split: classes, or what the task learns."""
    with warnings.catch_warnings():
        # Lists of unlike lengths become objects, and are refused.
        warnings.simplefilter("ignore")
        values = np.asarray(rows.select_columns([label]).with_format("numpy")[:][label])
    if task is not None:
        found = learned(values, task, lambda row: f"data.label: row {row:,} of split {name}")
        if found is None:
            raise UsageError(
                f"data.label = {label!r}: {values.dtype} {values.shape} in split {name}, of which "
                f"the task {task.partition('@')[0]} can make nothing; give a column of numbers, or "
                "of lists of one length"
            )
        return found
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise UsageError(
            f"data.label = {label!r}: {values.dtype} in split {name}; give a column of class "
            "numbers, or say what is learned (task: regression, multi-label or your own)"
        )
    return torch.from_numpy(values.astype(np.int64))


def _counted(data_dir: Path, train: HFPictures) -> int:
    assert train.labels is not None
    occurring = np.unique(train.labels.numpy())
    if occurring[0] != 0 or occurring[-1] != len(occurring) - 1:
        raise UsageError(
            f"data_dir: {shown(data_dir)}: labels {occurring[0]} to {occurring[-1]}, of which "
            f"{len(occurring):,} occur; number the classes from 0 on, or make it a ClassLabel"
        )
    return len(occurring)


def _check_labels(data_dir: Path, parts: tuple[HFPictures, ...], classes: int) -> None:
    for pictures in parts:
        labels = pictures.labels
        assert labels is not None
        if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise UsageError(
                f"data_dir: {shown(data_dir)}: a split is empty, or has labels that are not from 0 "
                f"to {classes - 1}; leave out what has no class"
            )
    if classes < 2:
        raise UsageError(f"data_dir: {shown(data_dir)}: {classes} classes; at least 2 are needed")
    _check_count(data_dir, parts[0])


def _check_count(data_dir: Path, train: HFPictures) -> None:
    if len(train) < _LEAST:
        raise UsageError(
            f"data_dir: {shown(data_dir)}: {len(train)} training images; at least {_LEAST} are "
            "needed"
        )


def _held_out(whole: HFPictures, shares: dict[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    labels, taken = whole.labels, {}
    assert labels is not None
    left = torch.arange(len(labels))
    for part, share in shares.items():
        count = held_out_count(part, share, len(labels))
        if count >= len(left):
            raise UsageError(
                f"data.{part} = {share_in_words(share)}: nothing would be left to train on"
            )
        chosen = stratified_choice(labels[left], count, seed=_SEED)
        taken[part] = left[chosen]
        left = left[~torch.isin(left, taken[part])]
    check_classes_left(_NAME, labels[left], labels)
    return left, taken


def _size(whole: HFPictures, train: Tensor, keys: DataKeys) -> tuple[Size, str]:
    if keys.image_size is not None:
        return keys.image_size, f"read at {keys.image_size[1]} x {keys.image_size[0]}"
    seen = train[looked_at(len(train), whole.shape)].tolist()
    count, own = len(seen), common_size(whole.pictures(seen))
    height, width = own or _USUAL_SIZE
    why = f"{count:,} images are of that size" if own else "images of several sizes"
    return (height, width), f"{why}, read at {width} x {height}; data.image_size says otherwise"
