"""Examples of torch's data sets: those with places (map-style), and those in an order of their own.

Each example is a pair (input, class). An input is a tensor or an array of one shape: float32 as a
network gets it, or an image (C, H, W) uint8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset

from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.streams.loading import InputsAndLabels, seeded
from growsearch.errors import UsageError

_PAIR = 2
_IMAGE_AXES = 3
_GIVE = "give float32 tensors of one shape, or images (C, H, W) uint8"


class MapExamples:
    """Examples of a data set with ``__getitem__`` and ``__len__``."""

    def __init__(self, dataset: Any, name: str, classes: int | None) -> None:
        """Look at the first example.

        Raises:
            UsageError: for data that no network can read.
        """
        self.name, self._dataset, self._classes = name, dataset, classes
        self._count = _length(dataset, name)
        self.labels: Tensor | None = labels_of(dataset, self._count)
        with seeded(0):
            self.shape, self._type = _kind(self._pair(0), self._at(0))

    def __len__(self) -> int:
        return self._count

    def read(self, places: Sequence[int]) -> InputsAndLabels:
        """Return inputs (n, ...) and labels (n,) int64.

        Raises:
            UsageError: naming the example that cannot be read, or is unlike the first.
        """
        found = [self._checked(place) for place in places]
        labels = torch.tensor([label for _, label in found], dtype=torch.long)
        return torch.stack([inputs for inputs, _ in found]), labels

    def _checked(self, place: int) -> tuple[Tensor, int]:
        inputs, label = _example(self._pair(place), self._at(place))
        _check_alike(inputs, (self.shape, self._type), self._at(place))
        _check_class(label, self._classes, self._at(place))
        if self.labels is not None and label != int(self.labels[place]):
            raise UsageError(
                f"{self._at(place)} has class {label}, and class {int(self.labels[place])} in the "
                "data set's own list of labels; let both be the same"
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

    def __init__(self, dataset: Any, name: str, classes: int | None) -> None:
        """Look at the first example.

        Raises:
            UsageError: for data that no network can read.
        """
        self.name, self._dataset, self._classes = name, dataset, classes
        self._count = _length(dataset, name)
        self.labels: Tensor | None = None
        with seeded(0):
            first = next(iter(self._pass(0)), None)
        if first is None:
            raise UsageError(f"dataset: {name} has no examples; give some")
        self.shape, self._type = _kind(first, self._at(0))

    def __len__(self) -> int:
        return self._count

    def batches(self, size: int, seed: int) -> Iterator[InputsAndLabels]:
        """Yield one pass in batches of ``size``.

        Raises:
            UsageError: naming the example that cannot be read, or is unlike the first.
        """
        waiting: list[tuple[Tensor, int]] = []
        for place, pair in enumerate(self._pass(seed)):
            inputs, label = _example(pair, self._at(place))
            _check_alike(inputs, (self.shape, self._type), self._at(place))
            _check_class(label, self._classes, self._at(place))
            waiting.append((inputs, label))
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


def examples_of(dataset: Any, name: str, classes: int | None) -> MapExamples | PassExamples:
    """Return the examples of one of torch's data sets.

    Raises:
        UsageError: for anything else, or data that no network can read.
    """
    if isinstance(dataset, IterableDataset):
        return PassExamples(dataset, name, classes)
    if isinstance(dataset, TorchDataset) or hasattr(dataset, "__getitem__"):
        return MapExamples(dataset, name, classes)
    raise UsageError(
        f"dataset: {name} is a {type(dataset).__name__}; give a torch.utils.data.Dataset"
    )


def labels_of(dataset: Any, count: int) -> Tensor | None:
    """Return the labels (N,) that a data set has as a list, without reading examples; or None.

    They are called ``targets`` or ``labels``, as in torchvision.
    """
    if isinstance(dataset, Subset):
        whole = labels_of(dataset.dataset, len(dataset.dataset))  # type: ignore[arg-type]
        return None if whole is None else whole[list(dataset.indices)]
    if isinstance(dataset, TensorDataset):
        found: Any = dataset.tensors[1] if len(dataset.tensors) == _PAIR else None
    else:
        found = getattr(dataset, "targets", getattr(dataset, "labels", None))
    try:
        labels = np.asarray(found)
    except (TypeError, ValueError):
        return None
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        return None
    return torch.from_numpy(labels.astype(np.int64))


def classes_of(dataset: Any) -> int | None:
    """Return how many classes a data set says that it has, as torchvision's do; or None."""
    if isinstance(dataset, Subset):
        return classes_of(dataset.dataset)
    named = getattr(dataset, "classes", None)
    if isinstance(named, (list, tuple)):
        return len(named)
    stated = getattr(dataset, "num_classes", None)
    return stated if type(stated) is int else None


def _length(dataset: Any, name: str) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        raise UsageError(
            f"dataset: {name} has no length, and a schedule of the learning rate needs one; give "
            "it __len__"
        ) from error


def _example(pair: Any, at: str) -> tuple[Tensor, int]:
    if not isinstance(pair, (tuple, list)) or len(pair) != _PAIR:
        raise UsageError(f"{at} is a {type(pair).__name__}; give a pair (input, class)")
    inputs, label = pair
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fu":
        inputs = torch.from_numpy(np.ascontiguousarray(inputs))
    if not isinstance(inputs, Tensor):
        raise UsageError(f"{at} has an input of type {type(inputs).__name__}; {_GIVE}")
    single = isinstance(label, (Tensor, np.ndarray)) and label.shape in ((), (1,))
    value = label.item() if single else label
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise UsageError(
            f"{at} has a label {str(label)[:40]} of type {type(label).__name__}; streamed data "
            "have one class each, a whole number from 0 on"
        )
    return inputs.detach(), int(value)


def _kind(pair: Any, at: str) -> tuple[tuple[int, ...], torch.dtype]:
    inputs, _ = _example(pair, at)
    image = inputs.dtype == torch.uint8 and inputs.ndim == _IMAGE_AXES
    if not (image or inputs.dtype == torch.float32) or not inputs.ndim or not inputs.numel():
        raise UsageError(f"{at} has an input {inputs.dtype} {tuple(inputs.shape)}; {_GIVE}")
    return tuple(inputs.shape), inputs.dtype


def _check_alike(inputs: Tensor, first: tuple[tuple[int, ...], torch.dtype], at: str) -> None:
    if (tuple(inputs.shape), inputs.dtype) != first:
        shape, kind = first
        raise UsageError(
            f"{at} has an input {inputs.dtype} {tuple(inputs.shape)}, and the first one is {kind} "
            f"{shape}; {_GIVE}"
        )
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        raise UsageError(f"{at} has values that are not finite; remove or fill them")


def _check_class(label: int, classes: int | None, at: str) -> None:
    if label < 0 or (classes is not None and label >= classes):
        most = "" if classes is None else f" to {classes - 1}"
        raise UsageError(f"{at} has class {label}; classes are numbered from 0{most}")


def _stacked(examples: list[tuple[Tensor, int]]) -> InputsAndLabels:
    inputs = torch.stack([inputs for inputs, _ in examples])
    return inputs, torch.tensor([label for _, label in examples], dtype=torch.long)
