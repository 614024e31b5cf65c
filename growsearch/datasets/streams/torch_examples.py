"""Examples of torch's data sets: those with places (map-style), and those in an order of their own.

Each example is a pair (input, label). An input is a tensor or an array of one shape: float32 as a
network gets it, or an image (C, H, W) uint8; images whose channels come last have that stated
(`Images`). A label is a class, or what a stated task learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset

from growsearch.datasets.checking.arrays import Images, channels_may_be_last, check_layout
from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.streams.example_labels import ExampleLabels
from growsearch.datasets.streams.loading import InputsAndLabels, seeded
from growsearch.errors import UsageError

_PAIR = 2
_IMAGE_AXES = 3
_LONGEST = 40
_GIVE = "give float32 tensors of one shape, or images (C, H, W) uint8"


class MapExamples:
    """Examples of a data set with ``__getitem__`` and ``__len__``."""

    def __init__(
        self, dataset: Any, name: str, classes: int | None, task: str | None = None
    ) -> None:
        """Look at the first example.

        Raises:
            UsageError: for data that no network can read, images whose channels may be last, or
                labels that cannot be learned.
        """
        dataset, self._layout = with_layout(dataset)
        self.name, self._dataset = name, dataset
        self._count = _length(dataset, name)
        at = self._at(0)
        with seeded(0):
            inputs, label = _example(self._pair(0), at, self._layout)
        self.shape, self._type = _kind(inputs, at)
        self._labels = ExampleLabels.like(label, task, classes, at)
        _check_layout(inputs, self._layout, self._labels, at)
        self.label_shape, self.label_type = self._labels.shape, self._labels.type
        first = self._labels.checked(label, at)
        self.labels: Tensor | None = self._labels.listed(dataset, self._count, first, self._at)

    def __len__(self) -> int:
        return self._count

    def read(self, places: Sequence[int]) -> InputsAndLabels:
        """Return inputs (n, ...) and labels (n, ...).

        Raises:
            UsageError: naming the example that cannot be read, or is unlike the first.
        """
        return _stacked([self._checked(place) for place in places])

    def _checked(self, place: int) -> InputsAndLabels:
        inputs, given = _example(self._pair(place), self._at(place), self._layout)
        _check_alike(inputs, (self.shape, self._type), self._at(place))
        label = self._labels.checked(given, self._at(place))
        if self.labels is not None and not torch.equal(label, self.labels[place]):
            kind = "class" if self._labels.task is None else "label"
            raise UsageError(
                f"{self._at(place)} has {kind} {_told(label)}, and {kind} "
                f"{_told(self.labels[place])} in the data set's own list of labels; let both be "
                "the same"
            )
        return inputs, label

    def _pair(self, place: int) -> Any:
        with reading(self._at(place), "cannot be read", "mend the data set"):
            return self._dataset[place]

    def _at(self, place: int) -> str:
        return f"dataset: example {place:,} of {self.name}"


class PassExamples:
    """Examples of an `IterableDataset` that knows its length.

    Every epoch is one pass. A method ``set_epoch`` is called with a number before each, which
    follows from the trial's seed and the epoch, so that a data set can order itself anew.
    """

    def __init__(
        self, dataset: Any, name: str, classes: int | None, task: str | None = None
    ) -> None:
        """Look at the first example.

        Raises:
            UsageError: for data that no network can read, images whose channels may be last, or
                labels that cannot be learned.
        """
        dataset, self._layout = with_layout(dataset)
        self.name, self._dataset = name, dataset
        self._count = _length(dataset, name)
        self.labels: Tensor | None = None
        with seeded(0):
            first = next(iter(self._pass(0)), None)
        if first is None:
            raise UsageError(f"dataset: {name} has no examples; give some")
        inputs, label = _example(first, self._at(0), self._layout)
        self.shape, self._type = _kind(inputs, self._at(0))
        self._labels = ExampleLabels.like(label, task, classes, self._at(0))
        _check_layout(inputs, self._layout, self._labels, self._at(0))
        self.label_shape, self.label_type = self._labels.shape, self._labels.type

    def __len__(self) -> int:
        return self._count

    def batches(self, size: int, seed: int) -> Iterator[InputsAndLabels]:
        """Yield one pass in batches of ``size``.

        Raises:
            UsageError: naming the example that cannot be read, or is unlike the first.
        """
        waiting: list[InputsAndLabels] = []
        for place, pair in enumerate(self._pass(seed)):
            inputs, label = _example(pair, self._at(place), self._layout)
            _check_alike(inputs, (self.shape, self._type), self._at(place))
            waiting.append((inputs, self._labels.checked(label, self._at(place))))
            if len(waiting) == size:
                yield _stacked(waiting)
                waiting = []
        if waiting:
            yield _stacked(waiting)

    def _pass(self, seed: int) -> Iterator[Any]:
        if hasattr(self._dataset, "set_epoch"):
            self._dataset.set_epoch(seed)
        with reading(f"dataset: {self.name}", "cannot be read", "mend the data set"):
            yield from self._dataset

    def _at(self, place: int) -> str:
        return f"dataset: example {place:,} of a pass through {self.name}"


def examples_of(
    dataset: Any, name: str, classes: int | None, task: str | None = None
) -> MapExamples | PassExamples:
    """Return the examples of one of torch's data sets, with labels for ``task``.

    Raises:
        UsageError: for anything else, or data that no network can read.
    """
    plain, _ = with_layout(dataset)
    if isinstance(plain, IterableDataset):
        return PassExamples(dataset, name, classes, task)
    if isinstance(plain, TorchDataset) or hasattr(plain, "__getitem__"):
        return MapExamples(dataset, name, classes, task)
    raise UsageError(
        f"dataset: {name} is a {type(plain).__name__}; give a torch.utils.data.Dataset"
    )


def with_layout(dataset: Any) -> tuple[Any, str | None]:
    """Return a data set, and the layout that `Images` state of it; None: nothing was stated.

    Raises:
        UsageError: for an unknown layout.
    """
    if not isinstance(dataset, Images):
        return dataset, None
    check_layout(dataset.layout)
    return dataset.values, dataset.layout


def classes_of(dataset: Any) -> int | None:
    """Return how many classes a data set says that it has, as torchvision's do; or None."""
    dataset, _ = with_layout(dataset)
    if isinstance(dataset, Subset):
        return classes_of(dataset.dataset)
    named = getattr(dataset, "classes", None)
    if isinstance(named, (list, tuple)):
        return len(named)
    stated = getattr(dataset, "num_classes", None)
    return stated if type(stated) is int else None


def class_names_of(dataset: Any) -> tuple[str, ...]:
    """Return the names of classes that a data set has, as torchvision's do; none without."""
    if isinstance(dataset, Subset):
        return class_names_of(dataset.dataset)
    named = getattr(dataset, "classes", None)
    if not isinstance(named, (list, tuple)) or not all(isinstance(name, str) for name in named):
        return ()
    return tuple(named)


def _length(dataset: Any, name: str) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        raise UsageError(
            f"dataset: {name} has no length, and a schedule of the learning rate needs one; give "
            "it __len__"
        ) from error


def _example(pair: Any, at: str, layout: str | None) -> tuple[Tensor, Any]:
    """Return the input as a tensor, an image with its channels first, and the label as it is."""
    if not isinstance(pair, (tuple, list)) or len(pair) != _PAIR:
        raise UsageError(f"{at} is a {type(pair).__name__}; give a pair (input, label)")
    inputs, label = pair
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fu":
        inputs = torch.from_numpy(np.ascontiguousarray(inputs))
    if not isinstance(inputs, Tensor):
        raise UsageError(f"{at} has an input of type {type(inputs).__name__}; {_GIVE}")
    if layout is not None and inputs.ndim != _IMAGE_AXES:
        raise UsageError(f"{at} has an input {_shown(inputs)}; images have three axes")
    moved = inputs.permute(2, 0, 1).contiguous() if layout == "channels-last" else inputs
    return moved.detach(), label


def _kind(inputs: Tensor, at: str) -> tuple[tuple[int, ...], torch.dtype]:
    image = inputs.dtype == torch.uint8 and inputs.ndim == _IMAGE_AXES
    if not (image or inputs.dtype == torch.float32) or not inputs.ndim or not inputs.numel():
        raise UsageError(f"{at} has an input {_shown(inputs)}; {_GIVE}")
    return tuple(inputs.shape), inputs.dtype


def _check_layout(inputs: Tensor, layout: str | None, labels: ExampleLabels, at: str) -> None:
    """Refuse images of which nothing says, not even their shape, which axis has the channels."""
    shapes = (1, *inputs.shape), (1, *labels.shape)
    if layout is None and channels_may_be_last(*shapes):
        raise UsageError(
            f"{at} has an input {_shown(inputs)}, whose last axis may be the channels, and those "
            "come first, (C, H, W); give torch.as_tensor(input).permute(2, 0, 1), or say which it "
            "is: growsearch.Images(values=the data set, layout='channels-first' or 'channels-last')"
        )


def _shown(inputs: Tensor) -> str:
    return f"{inputs.dtype} {tuple(inputs.shape)}"


def _check_alike(inputs: Tensor, first: tuple[tuple[int, ...], torch.dtype], at: str) -> None:
    if (tuple(inputs.shape), inputs.dtype) != first:
        shape, kind = first
        raise UsageError(
            f"{at} has an input {_shown(inputs)}, and the first one is {kind} {shape}; {_GIVE}"
        )
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        raise UsageError(f"{at} has values that are not finite; remove or fill them")


def _told(label: Tensor) -> str:
    return " ".join(str(label.tolist()).split())[:_LONGEST]


def _stacked(examples: list[InputsAndLabels]) -> InputsAndLabels:
    inputs, labels = (torch.stack(part) for part in zip(*examples, strict=True))
    return inputs, labels
