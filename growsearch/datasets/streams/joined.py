"""Joined splits: training on what a search judged by as well, once the search is over."""

from __future__ import annotations

import dataclasses

import torch

from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.streams.chained import chained
from growsearch.datasets.streams.streamed_split import StreamedSplit
from growsearch.datasets.texts.tokens import TokenDataset


def train_and_validation(dataset: Dataset) -> Dataset:
    """Return the data with the validation examples behind the training ones; the test stays.

    They went through the same normalisation, that of the training examples. Validation examples
    stay what they are, but a network that was trained on them is not judged by them.

    Raises:
        UsageError: for training data that come in an order of their own, to which nothing is added.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.datasets.streams.joined import train_and_validation
        >>> data = from_tensors(torch.randn(40, 3), torch.arange(40) % 2)
        >>> len(data.train), len(data.validation), len(train_and_validation(data).train)
        (33, 3, 36)
    """
    return dataclasses.replace(dataset, train=_joined(dataset.train, dataset.validation))


def text_and_validation(text: TokenDataset) -> TokenDataset:
    """Return the text with the validation words behind the training ones."""
    return dataclasses.replace(text, train=torch.cat((text.train, text.validation)))


def _joined(first: Split, second: Split) -> Split:
    if isinstance(first, StreamedSplit) and isinstance(second, StreamedSplit):
        return chained(first, second)
    one, other = (_in_memory(split) for split in (first, second))
    return Split(
        inputs=torch.cat((one.inputs, other.inputs)), labels=torch.cat((one.labels, other.labels))
    )


def _in_memory(split: Split) -> Split:
    return split.at(torch.arange(len(split))) if split.streamed else split
