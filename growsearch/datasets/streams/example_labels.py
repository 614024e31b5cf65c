"""Labels of streamed examples: what each one is for its task, and whether it is like the first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from growsearch.errors import UsageError

_PAIR = 2
_LONGEST = 40
_LARGEST = np.iinfo(np.int64).max
_ONE_CLASS = (
    "without a task streamed data have one class each, a whole number from 0 on; for others state "
    "task='regression', task='multi-label' or your own (task: in a study)"
)
_WANTED = {
    "regression": "a regression wants a number, or (K,) for K of them",
    "multi-label": "multi-label wants (K,) of 0 and 1, for at least two labels",
}
# The axes of one example's label, and how many numbers it has at least.
_SHAPES = {"regression": ((0, 1), 1), "multi-label": ((1,), 2)}
_WANTED_BY_OWN = "an own task wants numbers, in a tensor of one shape for all examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleLabels:
    """What the label of every example is: one that ``task`` can learn, and like the first.

    Attributes:
        task: as `from_torch` has it.
        shape: of one example's.
        type: int64, float32 or bool.
        classes: how many classes there are, if that is known; every class is below it.
    """

    task: str | None
    shape: tuple[int, ...]
    type: torch.dtype
    classes: int | None = None

    @classmethod
    def like(cls, first: Any, task: str | None, classes: int | None, at: str) -> Self:
        """Return what labels like the ``first`` one are; ``at`` names its example.

        Raises:
            UsageError: for a label of which the task can make nothing.
        """
        found = _of_task(first, task, at)
        return cls(task=task, shape=tuple(found.shape), type=found.dtype, classes=classes)

    def checked(self, label: Any, at: str) -> Tensor:
        """Return the label of an example as a tensor.

        Raises:
            UsageError: if it is unlike the first one, or no class that exists.
        """
        found = _of_task(label, self.task, at)
        if (tuple(found.shape), found.dtype) != (self.shape, self.type):
            raise UsageError(
                f"{at} has a label {found.dtype} {tuple(found.shape)}, and the first one is "
                f"{self.type} {self.shape}; give all one shape and type"
            )
        if self.task is None:
            _check_class(int(found), self.classes, at)
        return found

    def listed(
        self, dataset: Any, count: int, first: Tensor, at: Callable[[int], str]
    ) -> Tensor | None:
        """Return the labels (N, ...) that a data set has as a list, or None; no example is read.

        They are called ``targets`` or ``labels``, as in torchvision. Where the ``first`` example
        has another one, as after a change of targets, the list is not that of a task.

        Raises:
            UsageError: for a label that cannot be learned; ``at`` names its example.
        """
        labels = _plain(_list_of(dataset))
        if labels is None or tuple(labels.shape) != (count, *self.shape):
            return None
        if self.task is None:
            return labels if labels.dtype == torch.int64 else None
        if not torch.equal(_converted(labels[0], self.task), first):
            return None
        return learned(labels, self.task, at)


def learned(values: Any, task: str, at: Callable[[int], str]) -> Tensor | None:
    """Return labels (N, ...) of all examples as ``task`` learns them, or None if it cannot.

    Example:
        >>> from growsearch.datasets.streams.example_labels import learned
        >>> learned([[0, 1], [1, 1]], "multi-label", "row {}".format).tolist()
        [[False, True], [True, True]]

    Raises:
        UsageError: for a single label that cannot be learned; ``at`` names its example.
    """
    labels = _plain(values)
    if labels is None or not labels.ndim or not _fits(labels.shape[1:], task):
        return None
    wrong = _first_wrong(labels, task)
    if wrong is not None:
        raise UsageError(f"{at(wrong[0])} has {wrong[1]}")
    return _converted(labels, task)


def _fits(shape: tuple[int, ...], task: str) -> bool:
    """Can a label be of this shape?"""
    axes, least = _SHAPES.get(task, (None, 1))
    return math.prod(shape) >= least and (axes is None or len(shape) in axes)


def _of_task(label: Any, task: str | None, at: str) -> Tensor:
    if task is None:
        return _class(label, at)
    found, wanted = _plain(label), _WANTED.get(task, _WANTED_BY_OWN)
    if found is None:
        raise UsageError(f"{at} has a label {_shown(label)}; {wanted}")
    if not _fits(tuple(found.shape), task):
        raise UsageError(f"{at} has a label {found.dtype} {tuple(found.shape)}; {wanted}")
    wrong = _first_wrong(found[None], task)
    if wrong is not None:
        raise UsageError(f"{at} has {wrong[1]}")
    return _converted(found, task)


def _class(label: Any, at: str) -> Tensor:
    single = isinstance(label, (Tensor, np.ndarray)) and label.shape in ((), (1,))
    value = label.item() if single else label
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise UsageError(f"{at} has a label {_shown(label)}; {_ONE_CLASS}")
    return torch.tensor(int(value), dtype=torch.int64)


def _check_class(label: int, classes: int | None, at: str) -> None:
    if label < 0 or (classes is not None and label >= classes):
        most = "" if classes is None else f" to {classes - 1}"
        raise UsageError(f"{at} has class {label}; classes are numbered from 0{most}")


def _shown(label: Any) -> str:
    return f"{' '.join(str(label).split())[:_LONGEST]} of type {type(label).__name__}"


def _converted(labels: Tensor, task: str) -> Tensor:
    """Return plain labels as the task learns them; those of an own task stay."""
    if task == "regression":
        return labels.float()
    return labels.bool() if task == "multi-label" else labels


def _first_wrong(labels: Tensor, task: str) -> tuple[int, str] | None:
    """Return the place of the first of ``labels`` (N, ...) that cannot be learned, and why."""
    if task == "multi-label":
        good, why = (labels == 0) | (labels == 1), "labels other than 0 and 1; give these"
    elif labels.is_floating_point():
        good, why = torch.isfinite(labels), "a label that is not finite; remove the example"
    else:
        return None
    places = (~good.reshape(len(labels), -1).all(dim=1)).nonzero().flatten()
    return (int(places[0]), why) if len(places) else None


def _plain(values: Any) -> Tensor | None:
    """Return numbers as float32, int64 or bool on the processor, or None for anything else."""
    if isinstance(values, (list, tuple)) and values and isinstance(values[0], Tensor):
        if not all(isinstance(each, Tensor) and each.shape == values[0].shape for each in values):
            return None
        values = torch.stack(tuple(values))
    if isinstance(values, Tensor) and values.layout is torch.strided:
        found = values.detach().cpu()
        if found.dtype == torch.bool or found.dtype.is_complex or found.is_quantized:
            return found if found.dtype == torch.bool else None
        if found.is_floating_point():
            return found.float()
        if found.dtype not in (torch.uint16, torch.uint32, torch.uint64):
            return found.long()
        values = found.numpy()
    try:
        return _of_array(np.asarray(values))
    except (TypeError, ValueError):
        # Rows of unlike lengths.
        return None


def _of_array(array: np.ndarray[Any, np.dtype[Any]]) -> Tensor | None:
    kind = array.dtype.kind
    if kind == "b":
        return torch.from_numpy(array.copy())
    if kind == "f":
        # What is too large for float32 becomes infinite, and is refused by that.
        with np.errstate(over="ignore"):
            return torch.from_numpy(array.astype(np.float32))
    if kind not in "iu" or (kind == "u" and array.size and int(array.max()) > _LARGEST):
        return None
    return torch.from_numpy(array.astype(np.int64))


def _list_of(dataset: Any) -> Any:
    """Return what a data set has as its list of labels, or None."""
    if isinstance(dataset, Subset):
        whole = _plain(_list_of(dataset.dataset))
        fits = whole is not None and len(whole) == len(dataset.dataset)  # type: ignore[arg-type]
        return whole[list(dataset.indices)] if whole is not None and fits else None
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[1] if len(dataset.tensors) == _PAIR else None
    return getattr(dataset, "targets", getattr(dataset, "labels", None))
