"""Preprocessing of a data set as plain data: how image files become inputs, and what outputs mean.

A run keeps it in preprocessing.json, so that its networks can be used without the data.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from growsearch.datasets.checking.labels import MAX_CLASSES
from growsearch.datasets.dataset import Dataset, LabelKind
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.errors import UsageError
from growsearch.reading import read_json, reading

PREPROCESSING_FILE = "preprocessing.json"
FORMAT = 1

ChannelOrder = Literal["RGB", "grey", "as in the data"]
# One class an example, several labels, numbers, a class a pixel, words, or an own task's.
OutputKind = Literal["classes", "labels", "numbers", "pixels", "words", "own"]
RESIZE, FILTER = "cover, then cut out the middle", "bilinear"

_KINDS: dict[LabelKind, OutputKind] = {
    "one an example": "classes",
    "one a word": "words",
    "one a pixel": "pixels",
    "numbers": "numbers",
    "several an example": "labels",
}
# Of arrays that a person gives nobody knows which channel is which colour.
_RGB = ("image-folder", "hf-disk", "mask-folder", "cifar10", "cifar100")
_IMAGE_AXES, _COLOURS = 3, 3
_MOST_SIDE, _MOST_CHANNELS = 2**20, 4096
# What another decoder of JPEG may change, in levels of 255.
_TOLERANCE = 0.01
_REMEDY = "restore it from its run or its export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInput:
    """How an image becomes an input: its size in pixels, its channels, and their statistics.

    A picture of another size is resized to cover ``height`` x ``width``, and the middle cut out.
    Of pixels from 0 to 255 the ``mean`` of each channel is subtracted, and they are divided by its
    ``deviation``.
    """

    height: int
    width: int
    order: ChannelOrder
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return len(self.mean), self.height, self.width

    @property
    def normalisation(self) -> Normalisation:
        """The statistics as data sets have them."""
        return Normalisation(mean=self.mean, deviation=self.deviation)

    @property
    def of_files(self) -> bool:
        """Can picture files be read for it: has it one channel, or three?"""
        return len(self.mean) in (1, _COLOURS)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "kind": "images",
            "height": self.height,
            "width": self.width,
            "channels": len(self.mean),
            "channel_order": self.order,
            "resize": RESIZE,
            "filter": FILTER,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What a network is given and gives: images, or raw inputs and why; classes, or other outputs.

    ``images`` is None where no image's way to an input is known, and ``raw_because`` says why.
    ``classes`` are names in the order of the outputs, none where the data have no names.

    Example:
        >>> from growsearch.datasets import load_dataset
        >>> from growsearch.datasets.preprocessing import preprocessing_of
        >>> found = preprocessing_of(load_dataset("digits"))
        >>> found.images.shape, found.probabilities, found.classes[:3]
        ((1, 8, 8), True, ('0', '1', '2'))
    """

    images: ImageInput | None = None
    raw_because: str = ""
    outputs: OutputKind = "own"
    classes: tuple[str, ...] = ()

    @property
    def probabilities(self) -> bool:
        """Do outputs become probabilities: of classes, or of each label by itself?"""
        return self.outputs in ("classes", "labels")

    def class_name(self, number: int) -> str:
        """Return the name of a class, or its number in words."""
        return self.classes[number] if self.classes else f"class {number}"

    def check_fits(self, input_shape: tuple[int, ...], outputs: int) -> None:
        """Refuse what belongs to another network.

        Raises:
            UsageError: naming what differs.
        """
        if self.images is not None and self.images.shape != input_shape:
            raise UsageError(
                f"{PREPROCESSING_FILE}: images of {self.images.shape} (channels, height, width), "
                f"and the network reads {input_shape}; {_REMEDY}"
            )
        if self.classes and len(self.classes) != outputs:
            raise UsageError(
                f"{PREPROCESSING_FILE}: {len(self.classes)} class names, and the network knows "
                f"{outputs}; {_REMEDY}"
            )

    def difference(self, other: Self) -> str:
        """Return in words what differs from ``other``, nothing where both mean the same."""
        named = self.classes and other.classes
        if self.outputs != other.outputs or (named and self.classes != other.classes):
            return "classes"
        if (one := self.images) is None or (two := other.images) is None:
            return "" if self.images == other.images else "images"
        if (one.shape, one.order) != (two.shape, two.order):
            return "size or channels"
        pairs = zip((*one.mean, *one.deviation), (*two.mean, *two.deviation), strict=True)
        return "" if all(abs(a - b) <= _TOLERANCE for a, b in pairs) else "mean and deviation"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        raw = {"kind": "raw", "why": self.raw_because}
        return {
            "format": FORMAT,
            "input": raw if self.images is None else self.images.to_json(),
            "output": {"kind": self.outputs, "probabilities": self.probabilities},
            "classes": list(self.classes) or None,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: naming key and rule.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise ValueError(f"format is not {FORMAT}, which this version reads")
        given, output = _mapping(data, "input"), _mapping(data, "output")
        raw = _one_of(given, "kind", ("images", "raw")) == "raw"
        kind = _one_of(output, "kind", get_args(OutputKind))
        found = cls(
            images=None if raw else _images(given),
            raw_because=_text(given, "why") if raw else "",
            outputs=kind,
            classes=_names(data.get("classes")),
        )
        if output.get("probabilities") is not found.probabilities:
            raise ValueError(f"output.probabilities does not go with output.kind {kind}")
        return found


def preprocessing_of(dataset: Dataset, judged_by: Container[str] = ()) -> Preprocessing:
    """Return what a data set does to images, and what the outputs of its networks mean.

    Args:
        dataset: for its task.
        judged_by: the names of an own task's metrics. One that learns a class an example and is
            judged by the accuracy tells classes by the largest output, as others do.
    """
    kind = _KINDS.get(dataset.train.label_kind, "own")
    if dataset.task.is_own and not (kind == "classes" and "accuracy" in judged_by):
        kind = "own"
    names = dataset.report.class_names if kind in ("classes", "pixels") else ()
    why = _why_raw(dataset)
    return Preprocessing(
        images=None if why else _image_input(dataset),
        raw_because=why,
        outputs=kind,
        classes=names if len(names) == dataset.num_classes else (),
    )


def read_preprocessing(path: Path) -> Preprocessing:
    """Return the content of a preprocessing.json; nothing in it is trusted.

    Raises:
        UsageError: if it is not there, cannot be read, or holds something else.
    """
    data = read_json(path, _REMEDY)
    with reading(path, _REMEDY):
        return Preprocessing.from_json(data)


def _why_raw(dataset: Dataset) -> str:
    """Return why no image's way to an input is known; nothing where it is."""
    shape = dataset.input_shape
    if not dataset.train.input_type.is_floating_point:
        return "its inputs are words, whole numbers of a vocabulary, and no images"
    if len(shape) != _IMAGE_AXES:
        return f"its inputs are tensors of {len(shape)} axes, and no images"
    if dataset.normalisation == IDENTITY:
        return (
            "the data gave images as floats, and how pixels became those nobody said; give them as "
            "uint8, or as a Dataset with the normalisation that they have gone through"
        )
    return ""


def _image_input(dataset: Dataset) -> ImageInput:
    channels, height, width = dataset.input_shape
    scale = dataset.normalisation
    order: ChannelOrder = "RGB" if dataset.name in _RGB else "as in the data"
    # One value may stand for all channels.
    every = [values * channels if len(values) == 1 else values for values in _values(scale)]
    return ImageInput(
        height=height,
        width=width,
        order="grey" if channels == 1 else order,
        mean=every[0],
        deviation=every[1],
    )


def _values(scale: Normalisation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(map(float, scale.mean)), tuple(map(float, scale.deviation))


def _images(data: Mapping[str, Any]) -> ImageInput:
    channels = _whole(data, "channels", _MOST_CHANNELS)
    for key, value in (("resize", RESIZE), ("filter", FILTER)):
        if data.get(key) != value:
            raise ValueError(f"input.{key} is not {value!r}, the one way that there is")
    order: ChannelOrder = _one_of(data, "channel_order", get_args(ChannelOrder))
    if (order == "grey") != (channels == 1) or (order == "RGB" and channels != _COLOURS):
        raise ValueError(f"input.channel_order {order} does not go with {channels} channels")
    mean, deviation = (_numbers(data, key, channels) for key in ("mean", "deviation"))
    if min(deviation) <= 0:
        raise ValueError("input.deviation has numbers that are not above 0")
    return ImageInput(
        height=_whole(data, "height", _MOST_SIDE),
        width=_whole(data, "width", _MOST_SIDE),
        order=order,
        mean=mean,
        deviation=deviation,
    )


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    if not isinstance(found, Mapping):
        raise ValueError(f"{key} is no object")
    return found


def _text(data: Mapping[str, Any], key: str) -> str:
    found = data.get(key)
    if not isinstance(found, str):
        raise ValueError(f"{key} is no text")
    return found


def _one_of(data: Mapping[str, Any], key: str, valid: tuple[Any, ...]) -> Any:
    found = data.get(key)
    if found not in valid:
        raise ValueError(f"{key} is none of {', '.join(valid)}")
    return found


def _whole(data: Mapping[str, Any], key: str, most: int) -> int:
    found = data.get(key)
    if type(found) is not int or not 1 <= found <= most:
        raise ValueError(f"input.{key} is no whole number from 1 to {most:,}")
    return found


def _numbers(data: Mapping[str, Any], key: str, count: int) -> tuple[float, ...]:
    found = data.get(key)
    if not isinstance(found, list) or len(found) != count:
        raise ValueError(f"input.{key} is no list of {count} numbers, one a channel")
    if not all(type(value) in (int, float) and math.isfinite(value) for value in found):
        raise ValueError(f"input.{key} has a value that is no finite number")
    return tuple(map(float, found))


def _names(found: Any) -> tuple[str, ...]:
    if found is None:
        return ()
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_CLASSES:
        raise ValueError("classes is no list of names")
    if not all(isinstance(name, str) for name in found):
        raise ValueError("classes has a name that is no text")
    return tuple(found)
