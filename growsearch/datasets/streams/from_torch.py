"""Own data of any size: torch.utils.data.Dataset objects as the three splits of a data set."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Change
from growsearch.datasets.checking.arrays import Images
from growsearch.datasets.checking.labels import MAX_CLASSES
from growsearch.datasets.checking.targets import check_positives, check_spread
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.report import DataReport
from growsearch.datasets.stratified import check_classes_left, stratified_choice
from growsearch.datasets.streams.loading import Loading
from growsearch.datasets.streams.streamed_split import StreamedSplit
from growsearch.datasets.streams.torch_examples import (
    MapExamples,
    PassExamples,
    class_names_of,
    classes_of,
    examples_of,
)
from growsearch.datasets.task_choice import BUILT_IN, TaskChoice, check_task_name
from growsearch.errors import UsageError

_Splits = tuple[StreamedSplit, StreamedSplit, StreamedSplit]

_HELD_OUT_ONE_IN = 10
_SPLIT_SEED = 0
_LEAST = 30


def from_torch(
    train: Any,
    *,
    validation: Any = None,
    test: Any = None,
    num_classes: int | None = None,
    augmentation: Change = NO_AUGMENTATION,
    name: str = "own",
    task: str | None = None,
) -> Dataset:
    """Return a streamed data set of your own `torch.utils.data.Dataset` objects.

    Examples are pairs (input, label), read batch by batch by workers and never held all at once.
    Map-style data without ``validation`` or ``test`` have a tenth held out for each: stratified
    where they list their classes (``targets`` or ``labels``), else by chance; always the same.
    Images (C, H, W) uint8 are normalised with the statistics of up to 2,048 training images; for
    others, or where their shape leaves it open, ``Images(values=data, layout=...)`` states which
    axis has the channels.

    A regression needs the mean of all training labels: where they are not listed, a study reads all
    examples once for them.

    Args:
        train: what is learned; its order is drawn anew every epoch. An `IterableDataset` orders
            itself, says its length, and needs both other splits.
        validation: what a search judges by.
        test: what is reported.
        num_classes: default: what the data say (``classes`` or ``num_classes``), else the largest
            of the labels that they list, and one. Of an own task with other labels: the outputs of
            a network for an example, by default as many as a label has numbers.
        augmentation: applied to training batches of images.
        name: for reports.
        task: None: a label is a class. "regression": a number or (K,); "multi-label": (K,) of 0 and
            1; an own task's name, "module:attribute": numbers of one shape, taken as they are.

    Raises:
        UsageError: for data that no network can read, images whose channels may be last, an unknown
            number of classes, or labels that the task cannot learn.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from growsearch.datasets import from_torch
        >>> rows = TensorDataset(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> data = from_torch(rows)
        >>> len(data.train), len(data.validation), len(data.test), data.num_classes
        (33, 3, 4, 4)
    """
    check_task_name(task)
    with reading("dataset", f"{name} cannot be read", "give torch.utils.data.Dataset objects"):
        classes = _stated(num_classes, train, task)
        examples = examples_of(train, name, classes, task)
        others = [
            None
            if each is None
            else examples_of(_stated_alike(each, train), f"{name} ({part})", classes, task)
            for part, each in (("validation", validation), ("test", test))
        ]
        _check_alike(examples, others)
        splits = _splits(examples, *others, all_classes=task is None)
        notes: tuple[str, ...] = ()
        if task is None:
            outputs = classes or _counted(splits[0], name)
        else:
            outputs, notes = _targets(splits, classes, classes_of(train), name, task)
        train_split, normalisation, count = splits[0].normalised()
        made = [train_split, *(split.normalised_by(normalisation) for split in splits[1:])]
        named = class_names_of(train)
        # Others than the classes that are learned are nobody's names.
        names = named if len(named) == outputs and task not in BUILT_IN else ()
    return Dataset(
        name=name,
        train=made[0],
        validation=made[1],
        test=made[2],
        num_classes=outputs,
        augmentation=augmentation,
        normalisation=normalisation,
        report=DataReport(class_names=names, notes=(normalised_note(count), *notes)),
        task=TaskChoice(name=task),
    )


def _stated_alike(other: Any, train: Any) -> Any:
    """Return another split with the layout that is stated of the training data alone."""
    if isinstance(train, Images) and not isinstance(other, Images):
        return Images(values=other, layout=train.layout)
    return other


def _stated(num_classes: int | None, train: Any, task: str | None) -> int | None:
    """Return the number that was given or, of classes, that the data say."""
    found = classes_of(train) if num_classes is None and task is None else num_classes
    least = 2 if task is None else 1
    if found is not None and (type(found) is not int or not least <= found <= MAX_CLASSES):
        raise UsageError(
            f"dataset: num_classes = {found!r}; give a whole number from {least} to {MAX_CLASSES:,}"
        )
    return found


def _targets(
    splits: _Splits, stated: int | None, said: int | None, name: str, task: str
) -> tuple[int, tuple[str, ...]]:
    """Return how many outputs a network has for one example, and what to know of the labels.

    ``said`` is the number of classes that the data tell, for own tasks that learn classes.
    """
    train = splits[0]
    wanted = math.prod(train.label_shape)
    if task not in BUILT_IN:
        if stated is None and train.label_kind == "one an example":
            return said or _largest(splits, name) + 1, ()
        return stated or wanted, ()
    if stated not in (None, wanted):
        raise UsageError(
            f"dataset: num_classes = {stated}, and {task} has {wanted} targets an example; leave "
            "it out"
        )
    if task == "regression":
        if train.labels_are_known:
            check_spread(train.labels)
        return wanted, ()
    return wanted, check_positives(known_labels(splits))


def _largest(splits: _Splits, name: str) -> int:
    if not splits[0].labels_are_known:
        raise _uncounted(name)
    return max(int(labels.max()) for labels in known_labels(splits).values())


def known_labels(splits: tuple[Split, Split, Split]) -> dict[str, Tensor]:
    """Return the labels of training, validation and test, of those that are known unread."""
    named = zip(("training", "validation", "test"), splits, strict=True)
    return {name: split.labels for name, split in named if split.labels_are_known}


def _check_alike(train: MapExamples | PassExamples, others: list[Any]) -> None:
    for other in others:
        if other is None:
            continue
        if other.shape != train.shape:
            raise UsageError(
                f"dataset: {other.name} has inputs of {other.shape}, training has {train.shape}; "
                "give all one shape"
            )
        if (other.label_shape, other.label_type) != (train.label_shape, train.label_type):
            raise UsageError(
                f"dataset: {other.name} has labels {other.label_type} {other.label_shape}, "
                f"training has {train.label_type} {train.label_shape}; give all one shape and type"
            )


def _splits(
    train: MapExamples | PassExamples, validation: Any, test: Any, *, all_classes: bool
) -> _Splits:
    missing = [n for n, each in (("validation", validation), ("test", test)) if each is None]
    if isinstance(train, PassExamples) and missing:
        raise UsageError(
            f"dataset: {train.name} comes in an order of its own, so that nothing can be held out "
            f"of it; give {' and '.join(missing)} (growsearch.datasets.from_torch)"
        )
    if len(train) < (_LEAST if missing else 1):
        raise UsageError(f"dataset: {len(train)} examples are too few; at least {_LEAST}")
    rest = torch.arange(len(train))
    held: dict[str, Tensor] = {}
    # The test first, as `from_tensors` does.
    for name in reversed(missing):
        held[name] = rest[_tenth(train.labels, rest)]
        rest = rest[~torch.isin(rest, held[name])]
    if missing and train.labels is not None and all_classes:
        check_classes_left("dataset", train.labels[rest], train.labels)
    whole = StreamedSplit(train)
    return (
        whole.take(rest) if missing else whole,
        whole.take(held["validation"]) if validation is None else StreamedSplit(validation),
        whole.take(held["test"]) if test is None else StreamedSplit(test),
    )


def _tenth(labels: Tensor | None, rest: Tensor) -> Tensor:
    """Return the places of a tenth of ``rest``, stratified where labels are known."""
    known = torch.zeros_like(rest) if labels is None else labels[rest]
    return stratified_choice(known, max(1, len(rest) // _HELD_OUT_ONE_IN), seed=_SPLIT_SEED)


def _counted(train: StreamedSplit, name: str) -> int:
    if not train.labels_are_known:
        raise _uncounted(name)
    classes = int(train.labels.max()) + 1
    if classes < 2:
        raise UsageError(f"dataset: all labels of {name} are 0; one class can teach nothing")
    if int(train.labels.min()) < 0:
        raise UsageError(f"dataset: label {int(train.labels.min())} of {name} is below 0")
    occurring = len(np.unique(train.labels.numpy()))
    if occurring < classes:
        raise UsageError(
            f"dataset: {occurring:,} labels occur in {name}, which would make {classes:,} classes; "
            f"number them from 0 on, or state num_classes={classes} if the others exist"
        )
    return classes


def _uncounted(name: str) -> UsageError:
    return UsageError(
        f"dataset: {name} does not say how many classes it has; give num_classes "
        "(growsearch.datasets.from_torch), or let it have classes, num_classes or targets"
    )


def normalised_note(count: int) -> str:
    """Return what a person should know of the normalisation by ``count`` images."""
    if not count:
        return "inputs are taken as they are"
    return f"normalised with the statistics of {count:,} training images"


def loaded_by(dataset: Dataset, loading: Loading) -> Dataset:
    """Return the data with streamed splits read by other workers; others as they are."""
    return dataclasses.replace(
        dataset,
        train=_loaded_by(dataset.train, loading),
        validation=_loaded_by(dataset.validation, loading),
        test=_loaded_by(dataset.test, loading),
    )


def _loaded_by(split: Split, loading: Loading) -> Split:
    return split.loaded_by(loading) if isinstance(split, StreamedSplit) else split
