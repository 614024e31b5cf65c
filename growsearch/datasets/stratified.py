"""Stratified subsets: which examples stand for a data set when only some may be used."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from growsearch.datasets.dataset import Dataset, Split, labels_are
from growsearch.errors import UsageError


def stratified_choice(labels: Tensor, count: int, *, seed: int) -> Tensor:
    """Return the sorted indices of ``count`` examples, each class as frequent as in ``labels``.

    A class's count is its share of ``count``, rounded up or down (largest remainders first).
    Examples of several labels, one a word or a pixel, count as one class, and so do numbers.

    Raises:
        UsageError: if ``count`` is below 1 or above the number of examples.
    """
    if not 1 <= count <= len(labels):
        raise UsageError(f"subset: {count} examples asked for; valid: 1 to {len(labels)}")
    if labels_are(labels) != "one an example":
        labels = torch.zeros(len(labels), dtype=torch.long)
    classes, sizes = np.unique(labels.numpy(), return_counts=True)
    # NumPy keeps RandomState's stream forever (NEP 19): a library update must not move a split.
    random = np.random.RandomState(seed)
    chosen = [
        random.permutation(np.flatnonzero(labels.numpy() == label))[:kept]
        for label, kept in zip(classes, _shares(sizes, count), strict=True)
    ]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def check_classes_left(name: str, left: Tensor, all_of_them: Tensor) -> None:
    """Refuse a split that leaves nothing of a class to train on; labels are one an example.

    Raises:
        UsageError: naming the class and its number of examples.
    """
    if labels_are(all_of_them) != "one an example":
        return
    lost = np.setdiff1d(all_of_them.numpy(), left.numpy())
    if len(lost):
        raise UsageError(
            f"{name}: class {lost[0]} is held out whole ({int((all_of_them == lost[0]).sum())} of "
            f"{len(all_of_them):,} examples); add examples of it, or leave it out"
        )


def _shares(
    sizes: np.ndarray[tuple[int], np.dtype[np.int64]], count: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Divide ``count`` in proportion to ``sizes``; whole numbers, so that nothing is rounded."""
    shares, remainders = np.divmod(sizes * count, sizes.sum())
    first = np.argsort(-remainders, kind="stable")[: count - shares.sum()]
    shares[first] += 1
    return shares


def subset(dataset: Dataset, *, train: int, validation: int, test: int, seed: int = 0) -> Dataset:
    """Return so many examples of each split, stratified and always the same for one ``seed``.

    The inputs keep the normalisation of the whole data set.

    Raises:
        UsageError: if a split has fewer examples than asked for, or none is asked for.
    """
    return dataclasses.replace(
        dataset,
        train=_subset_of(dataset.train, train, seed),
        validation=_subset_of(dataset.validation, validation, seed),
        test=_subset_of(dataset.test, test, seed),
    )


def _subset_of(split: Split, count: int, seed: int) -> Split:
    if count == len(split):
        return split
    # Streamed examples are not read for labels that do not count.
    classes = split.label_kind == "one an example"
    labels = split.labels if classes else torch.zeros(len(split), dtype=torch.long)
    return split.take(stratified_choice(labels, count, seed=seed))
