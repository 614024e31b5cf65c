"""Own data as tensors: inputs and labels become the three splits of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from growsearch.datasets.augmentation import NO_AUGMENTATION, Change
from growsearch.datasets.checking.arrays import Arrays, Given, Images, channels_first, given
from growsearch.datasets.checking.class_names import check_class_names
from growsearch.datasets.checking.labels import check_labels, check_num_classes, classes_of
from growsearch.datasets.checking.targets import (
    check_numbers,
    check_own_targets,
    check_positives,
    check_several,
    check_spread,
)
from growsearch.datasets.dataset import UNLABELLED, Dataset, Split, labels_are
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.report import DataReport
from growsearch.datasets.stratified import check_classes_left, stratified_choice
from growsearch.datasets.task_choice import BUILT_IN, TaskChoice, check_task_name
from growsearch.errors import UsageError

_Pair = tuple[Tensor, Tensor]

_HELD_OUT_ONE_IN = 10
_SPLIT_SEED = 0
_HASH_DIGITS = 12
_LEAST = 30
_LOOKED_AT = 64
_NAMED = ("one an example", "one a pixel")


def from_tensors(
    inputs: Arrays | Images,
    labels: Arrays,
    *,
    test: tuple[Arrays | Images, Arrays] | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    augmentation: Change = NO_AUGMENTATION,
    name: str = "own",
    task: str | None = None,
) -> Dataset:
    """Return a data set of your own inputs and labels.

    A tenth is held out for validation, and a tenth for the test where ``test`` is None: stratified,
    always the same. Inputs of type uint8 (N, C, H, W) are normalised with the statistics of the
    training images; others are taken as they are.

    Args:
        inputs: (N, ...) float or uint8; words (N, T) are whole numbers. `Images` states the layout
            where a shape leaves open which axis has the channels.
        labels: whole numbers from 0 on, each of which occurs: (N,), one a pixel (N, H, W) of images
            (N, C, H, W), where UNLABELLED (-100) is a pixel without a class, or one a word (N, T).
        test: inputs and labels to report on, of the same shape and type.
        num_classes: default: the largest label and one. State it where some classes never occur.
        classes: their names, one a class in the order of their numbers: reports, figures of every
            class, exports and predictions then say them. Of labels that are classes of examples or
            pixels.
        augmentation: applied to training batches of images.
        name: for reports.
        task: what labels are where they do not say it themselves: "regression", numbers (N,) or
            (N, K); "multi-label", (N, K) of 0 and 1; or an own task's name, "module:attribute",
            whose targets (N, ...) are taken as they are.

    Raises:
        UsageError: for shapes, types or labels that do not fit, images whose channels may be last,
            labels with gaps, a single class, fewer than 30 examples, or names that are empty, not
            unique, or not as many as the classes.

    Example:
        >>> import torch
        >>> from growsearch import from_tensors
        >>> data = from_tensors(torch.randn(60, 4), torch.arange(60) % 2, classes=["cat", "dog"])
        >>> data.report.class_names
        ('cat', 'dog')
    """
    with reading("dataset", "inputs and labels cannot be read", "give arrays of plain numbers"):
        check_task_name(task)
        found = _checked(inputs, labels, "inputs", task)
        if len(found[1]) < _LEAST:
            raise UsageError(f"dataset: {len(found[1])} examples are too few; at least {_LEAST}")
        rest, held_test = (
            _held_out(found) if test is None else (found, _checked(*test, "test", task))
        )
        _check_alike(found[0], held_test[0])
        train, validation = _held_out(rest)
        if task is None:
            check_classes_left("dataset", train[1], found[1])
        outputs, notes = _outputs((train, validation, held_test), rest, num_classes, task)
        if classes is not None and (task in BUILT_IN or labels_are(train[1]) not in _NAMED):
            raise UsageError(
                "dataset: classes are names of classes of examples or pixels, and these labels are "
                "none; leave it out"
            )
        return _made(
            name,
            (train, validation, held_test),
            num_classes=outputs,
            augmentation=augmentation,
            classes=check_class_names(classes, outputs),
            notes=(_range_of(train[0]), *notes),
            task=TaskChoice(name=task),
        )


def _made(
    name: str,
    parts: tuple[_Pair, _Pair, _Pair],
    *,
    num_classes: int,
    augmentation: Change,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
    task: TaskChoice,
) -> Dataset:
    raw = parts[0][0]
    normalisation = Normalisation.of(raw) if raw.dtype == torch.uint8 else IDENTITY
    train, validation, test = (
        Split(inputs=_as_inputs(x, normalisation), labels=y) for x, y in parts
    )
    return Dataset(
        name=name,
        train=train,
        validation=validation,
        test=test,
        num_classes=num_classes,
        augmentation=augmentation,
        normalisation=normalisation,
        report=DataReport(class_names=classes, notes=notes),
        task=task,
    )


def _check_alike(found: Tensor, test: Tensor) -> None:
    if test.shape[1:] != found.shape[1:] or test.dtype != found.dtype:
        raise UsageError(
            f"dataset: test inputs are {_shape(test)}, training inputs {_shape(found)}; give both "
            "one shape and type"
        )


def _outputs(
    parts: tuple[_Pair, _Pair, _Pair], rest: _Pair, stated: int | None, task: str | None
) -> tuple[int, tuple[str, ...]]:
    """Return how many outputs a network has for one example, and what to know of the labels."""
    train, validation, test = (labels for _, labels in parts)
    if task is None:
        return _classes(rest, parts[2], stated)
    if test.shape[1:] != train.shape[1:] or test.dtype != train.dtype:
        raise UsageError(
            f"dataset: test labels are {_shape(test)}, training labels {_shape(train)}; give both "
            "one shape and type"
        )
    wanted = 1 if train.ndim == 1 else train[0].numel()
    if task not in BUILT_IN:
        if stated is None and labels_are(train) == "one an example":
            stated = int(max(train.max(), validation.max(), test.max())) + 1
        return stated or wanted, ()
    if stated not in (None, wanted):
        raise UsageError(
            f"dataset: num_classes = {stated}, and {task} has {wanted} targets an example; leave "
            "it out"
        )
    if task == "regression":
        check_spread(train)
        return wanted, ()
    splits = {"training": train, "validation": validation, "test": test}
    return wanted, check_positives(splits)


def _classes(rest: _Pair, test: _Pair, stated: int | None) -> tuple[int, tuple[str, ...]]:
    """Return how many classes, or words, there are, and what to know of their numbers."""
    if rest[1].ndim != 2:
        return classes_of(rest[1], test[1], stated)
    # A word that is read is one, also where it never follows.
    largest = max(int(part.max()) for pair in (rest, test) for part in pair)
    check_num_classes(stated, largest)
    if largest == 0:
        raise UsageError("dataset: all words are 0, and one word can teach nothing; give two")
    return stated or largest + 1, ()


def _range_of(x: Tensor) -> str:
    kind, least, most = str(x.dtype).removeprefix("torch."), float(x.min()), float(x.max())
    if x.dtype == torch.uint8:
        return f"training inputs are uint8 from {least:g} to {most:g}, and are normalised"
    taken = ", and are taken as they are" if x.is_floating_point() else ""
    return f"training inputs are {kind} from {least:g} to {most:g}{taken}"


def _as_inputs(x: Tensor, normalisation: Normalisation) -> Tensor:
    if x.dtype == torch.uint8:
        return normalisation.apply(x)
    return x.float() if x.is_floating_point() else x.long()


def content_hash(dataset: Dataset) -> str:
    """Return 12 hexadecimal digits of all that a trial sees: inputs, labels, classes, changes.

    Of streamed splits, whose whole content nobody wants to read for a name, it is of their sizes
    and of 64 examples at equal distances.
    """
    digest = hashlib.sha256(f"{dataset.num_classes} {dataset.augmentation}".encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        if split.streamed:
            split = _looked_at(split)
        for tensor in (split.inputs, split.labels):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:_HASH_DIGITS]


def _looked_at(split: Split) -> Split:
    """Return examples that stand for a streamed split, and its size in their labels' place."""
    count = min(_LOOKED_AT, len(split))
    some = split.at(torch.arange(count) * len(split) // count)
    labels = some.labels
    if split.label_kind != "one an example":
        # float64 holds each float32 and truth value, and every size.
        labels = labels.double().flatten()
    size = torch.tensor([len(split)], dtype=labels.dtype)
    return Split(inputs=some.inputs, labels=torch.cat([labels, size]))


def _targets(labels: Arrays, inputs: Given, task: str | None) -> Tensor:
    found = given(labels, "labels")
    if task is None:
        return check_labels(found, inputs)
    if task == "regression":
        return check_numbers(found)
    return check_several(found) if task == "multi-label" else check_own_targets(found)


def _checked(inputs: Arrays | Images, labels: Arrays, key: str, task: str | None) -> _Pair:
    stated = inputs.layout if isinstance(inputs, Images) else None
    found = given(inputs.values if isinstance(inputs, Images) else inputs, key)
    y = _targets(labels, found, task)
    if found.tensor.ndim >= 2 and len(found.tensor) == len(y) and not found.tensor.numel():
        raise UsageError(
            f"dataset: {key} are {found}: an axis of an example has no entries; give at least one"
        )
    if found.tensor.ndim < 2 or len(found.tensor) != len(y) or not found.tensor.numel():
        raise UsageError(f"dataset: {key} are {found} for {len(y)} labels; give one each")
    found = channels_first(found, y, stated, key)
    x = found.tensor
    if x.dtype == torch.uint8 and x.ndim != 4:
        grey = f"; grey ones are {key}[:, None]" if x.ndim == 3 else ""
        raise UsageError(f"dataset: {key} of type uint8 are images (N, C, H, W), not {found}{grey}")
    if task is None:
        _check_kind(found, y, key)
    elif x.dtype != torch.uint8 and not x.is_floating_point() and x.dtype != torch.int64:
        raise UsageError(f"dataset: {key} are {found}; give float32, or uint8 images")
    # As it will be used: a large float64 is infinite in float32.
    if x.is_floating_point() and not bool(torch.isfinite(x.float()).all()):
        raise UsageError(f"dataset: {key} hold values that are not finite; remove or fill them")
    if task is not None:
        return x, y
    told = y[y != UNLABELLED] if y.ndim == 3 else y
    if int(told.min()) < 0:
        raise UsageError(f"dataset: label {int(told.min())} is below 0; classes count from 0")
    return x, y


def _check_kind(given: Given, y: Tensor, key: str) -> None:
    """Refuse inputs that are not of the kind that the labels' shape stands for."""
    x = given.tensor
    if y.ndim == 3 and not bool((y != UNLABELLED).flatten(1).any(dim=1).all()):
        raise UsageError(f"dataset: some {key} have no pixel with a class; leave them out")
    if y.ndim == 2:
        if x.is_floating_point() or x.dtype in (torch.bool, torch.uint8) or x.shape != y.shape:
            raise UsageError(
                f"dataset: {key} are {given} for labels {_shape(y)}, one a word; give whole "
                "numbers of the same shape"
            )
        if int(x.min()) < 0:
            raise UsageError(f"dataset: word {int(x.min())} is below 0; words count from 0")
        return
    if x.dtype != torch.uint8 and not x.is_floating_point():
        of_sixteen = f" (of 16 bits: ({key} // 257).astype('uint8'))" if x.ndim == 4 else ""
        raise UsageError(f"dataset: {key} are {given}; give float32, or uint8 images{of_sixteen}")
    if y.ndim == 3 and (x.ndim != 4 or x.shape[2:] != y.shape[1:]):
        raise UsageError(
            f"dataset: {key} are {given} for labels {_shape(y)}, one a pixel; give images "
            "(N, C, H, W) of that height and width"
        )


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _held_out(pair: _Pair) -> tuple[_Pair, _Pair]:
    """Return what is left, and a tenth."""
    x, y = pair
    chosen = stratified_choice(y, max(1, len(y) // _HELD_OUT_ONE_IN), seed=_SPLIT_SEED)
    kept = torch.ones(len(y), dtype=torch.bool)
    kept[chosen] = False
    return (x[kept], y[kept]), (x[chosen], y[chosen])
