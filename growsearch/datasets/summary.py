"""Summary of a data set: what was read, for a person who wonders whether it is what they meant."""

from __future__ import annotations

import math

import torch

from growsearch.datasets.dataset import UNLABELLED, Dataset, Split
from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.streams.streamed_split import StreamedSplit
from growsearch.datasets.tasks import needs_labels

# So many classes are told one by one.
_LISTED = 6
_IMAGE_AXES = 3


def summary_lines(dataset: Dataset) -> tuple[str, ...]:
    """Return lines on splits, classes, files, what was changed and what was left out."""
    parts = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = (f"{len(part):,}" for part in parts)
    report = dataset.report
    lines = [
        f"Data {shown(dataset.name)}: {train} training, {validation} validation and {test} test "
        f"{_what(dataset)}",
        _classes(dataset),
    ]
    if dataset.train.streamed:
        lines.append(f"  streamed: read batch by batch by {_workers(dataset.train)}")
    if report.sizes:
        sizes = " to ".join(f"{width:,} x {height:,}" for width, height in report.sizes)
        lines.append(f"  files: images of {sizes} pixels (width x height)")
    if report.changes:
        lines.append(f"  changed: {'; '.join(report.changes)}")
    lines.extend(f"  not read: {skipped}" for skipped in report.skipped)
    lines.extend(f"  note: {shown(note)}" for note in (*report.notes, *_labels_read(dataset)))
    return tuple(lines)


def _what(dataset: Dataset) -> str:
    shape = " x ".join(f"{side:,}" for side in dataset.input_shape)
    if not dataset.train.input_type.is_floating_point:
        return f"texts of {shape} words"
    kind = "images" if len(dataset.input_shape) == _IMAGE_AXES else "inputs"
    return f"{kind} of {shape}"


def _classes(dataset: Dataset) -> str:
    kind = dataset.train.label_kind
    if kind == "one a word":
        return f"  words: {dataset.num_classes:,}"
    if kind == "numbers":
        return f"  targets: {_ranges(dataset.train)}"
    if kind == "several an example":
        if not dataset.train.labels_are_known:
            return f"  labels: {dataset.train.label_shape[0]:,}"
        shares = dataset.train.labels.float().mean(dim=0)
        return (
            f"  labels: {len(shares):,}, each of {float(shares.min()):.1%} to "
            f"{float(shares.max()):.1%} of the training examples"
        )
    if kind == "of another kind":
        return f"  targets: {dataset.train.label_shape} an example"
    if kind == "one a pixel":
        return f"  classes: {dataset.num_classes}; training pixels: {_pixel_shares(dataset)}"
    parts = (dataset.train, dataset.validation, dataset.test)
    if not all(part.labels_are_known for part in parts):
        return f"  classes: {dataset.num_classes:,}"
    counts = [_counts(part, dataset.num_classes) for part in parts]
    named = [_name(dataset, number) for number in range(dataset.num_classes)]
    if len(named) <= _LISTED:
        each = [
            f"{name} {' + '.join(f'{count[number]:,}' for count in counts)}"
            for number, name in enumerate(named)
        ]
        return f"  classes: {len(named)} (training + validation + test): {', '.join(each)}"
    fewest, most = counts[0].index(min(counts[0])), counts[0].index(max(counts[0]))
    return (
        f"  classes: {len(named):,}, of {counts[0][fewest]:,} ({named[fewest]}) to "
        f"{counts[0][most]:,} ({named[most]}) training examples"
    )


def _labels_read(dataset: Dataset) -> tuple[str, ...]:
    """Say that labels take a pass of their own, where they do."""
    train = dataset.train
    if not isinstance(train, StreamedSplit) or train.labels_are_listed:
        return ()
    if not (needs_labels(dataset) or train.labels_are_known):
        return ()
    return (
        f"labels of the {len(train):,} training examples are not listed, and are read once by a "
        "pass of their own; a list, called targets or labels, saves it",
    )


def _ranges(train: Split) -> str:
    """Return the least, the mean and the largest of numbers (N,) or (N, K), of a few columns."""
    if not train.labels_are_known:
        count = math.prod(train.label_shape)
        return f"{count:,} numbers" if count > 1 else "a number"
    targets = train.labels
    columns = targets if targets.ndim == 2 else targets[:, None]
    told = [
        f"{float(column.min()):.4g} to {float(column.max()):.4g}, mean {float(column.mean()):.4g}"
        for column in columns.T[:_LISTED]
    ]
    more = [f"and {columns.shape[1] - _LISTED:,} more"] if columns.shape[1] > _LISTED else []
    return "; ".join([*told, *more])


def _workers(part: Split) -> str:
    count = part.workers if isinstance(part, StreamedSplit) else 0
    if not count:
        return "the process that trains"
    return "1 worker" if count == 1 else f"{count} workers"


def _name(dataset: Dataset, number: int) -> str:
    names = dataset.report.class_names
    return shown(names[number]) if names else f"class {number}"


def _counts(part: Split, classes: int) -> list[int]:
    """Return how many labels of each class there are."""
    told = part.labels[part.labels != UNLABELLED]
    return [int(count) for count in torch.bincount(told.flatten(), minlength=classes)]


def _pixel_shares(dataset: Dataset) -> str:
    counts = _counts(dataset.train, dataset.num_classes)
    pixels = dataset.train.labels.numel()
    shares = [f"class {number} {count / pixels:.1%}" for number, count in enumerate(counts)]
    left = f"without a class {1 - sum(counts) / pixels:.1%}"
    more = [] if len(shares) <= _LISTED else ["..."]
    return ", ".join([*shares[:_LISTED], *more, left])
