"""Chained streams: the examples of two streamed splits, one after the other, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from growsearch.datasets.streams.loading import InputsAndLabels, Reader
from growsearch.datasets.streams.streamed_split import Examples, StreamedSplit
from growsearch.errors import UsageError

# The examples of a split, and which of them are taken; None is all.
_Part = tuple[Examples, Tensor | None]


class ChainedExamples:
    """Examples of two places as `StreamedSplit` takes them."""

    def __init__(self, first: _Part, second: _Part) -> None:
        self._parts = (first, second)
        examples = first[0]
        self.name, self.shape = examples.name, examples.shape
        self.label_shape, self.label_type = examples.label_shape, examples.label_type
        labels = [_labels(part) for part in self._parts]
        known = [each for each in labels if each is not None]
        self.labels = torch.cat(known) if len(known) == len(labels) else None

    def __len__(self) -> int:
        return sum(map(_count, self._parts))

    def read(self, places: Sequence[int]) -> InputsAndLabels:
        """Return inputs (n, ...) as they lie and labels (n, ...), in the order of ``places``."""
        border = _count(self._parts[0])
        asked = torch.as_tensor(places)
        order, found = [], []
        for part, here, shift in zip(
            self._parts, (asked < border, asked >= border), (0, border), strict=True
        ):
            where = here.nonzero().flatten()
            if len(where):
                order.append(where)
                found.append(_read(part, asked[where] - shift))
        back = torch.cat(order).argsort()
        inputs, labels = (torch.cat(each)[back] for each in zip(*found, strict=True))
        return inputs, labels


def chained(first: StreamedSplit, second: StreamedSplit) -> StreamedSplit:
    """Return the examples of ``first`` and then those of ``second``, read as ``first`` is.

    Raises:
        UsageError: where one comes in an order of its own, and so has no places.
    """
    for split in (first, second):
        if split.has_own_order:
            raise UsageError(
                f"dataset: {split.examples.name} comes in an order of its own, to which no "
                "validation examples can be added; train on the training examples alone"
            )
    if first.examples is second.examples:
        return first.at_places(torch.cat((_places(first), _places(second))))
    parts = [(split.examples, split.chosen) for split in (first, second)]
    return first.with_examples(ChainedExamples(*parts))


def _places(split: StreamedSplit) -> Tensor:
    return torch.arange(len(split)) if split.chosen is None else split.chosen


def _count(part: _Part) -> int:
    examples, chosen = part
    return len(examples) if chosen is None else len(chosen)


def _labels(part: _Part) -> Tensor | None:
    examples, chosen = part
    return examples.labels if examples.labels is None or chosen is None else examples.labels[chosen]


def _read(part: _Part, places: Tensor) -> InputsAndLabels:
    examples, chosen = part
    return cast(Reader, examples).read((places if chosen is None else chosen[places]).tolist())
