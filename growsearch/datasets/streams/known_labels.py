"""Known labels: those of streamed examples that are listed, or have been read and are kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class KnownLabels:
    """Labels by the places of their examples, shared by all parts of these, so as to be read once.

    Example:
        >>> import torch
        >>> from growsearch.datasets.streams.known_labels import KnownLabels
        >>> known = KnownLabels(3, None)
        >>> known.keep(torch.tensor([2, 0]), torch.tensor([0.5, 1.5]))
        >>> known.at(torch.tensor([0, 2])), known.at(None)
        (tensor([1.5000, 0.5000]), None)
    """

    __slots__ = ("_count", "_there", "_values", "listed")

    listed: bool
    _count: int
    _values: Tensor | None
    # (count,), or nothing where all are listed.
    _there: Tensor | None

    def __init__(self, count: int, labels: Tensor | None) -> None:
        """Take the number of examples and their labels (count, ...), where they are listed."""
        self.listed = labels is not None
        self._count, self._values, self._there = count, labels, None

    def has(self, places: Tensor | None) -> bool:
        """Are the labels at ``places``, or all of them, known?"""
        if self._values is None or self._there is None:
            return self._values is not None
        return bool((self._there if places is None else self._there[places]).all())

    def at(self, places: Tensor | None) -> Tensor | None:
        """Return the labels (n, ...) at ``places``, or of all; None if some are not known."""
        if self._values is None or not self.has(places):
            return None
        return self._values if places is None else self._values[places]

    def keep(self, places: Tensor | None, labels: Tensor) -> None:
        """Keep labels (n, ...) that were read at ``places``, or of all."""
        places = torch.arange(self._count) if places is None else places
        if self._values is None:
            self._values = labels.new_zeros((self._count, *labels.shape[1:]))
            self._there = torch.zeros(self._count, dtype=torch.bool)
        self._values[places] = labels
        if self._there is not None:
            self._there[places] = True

    def of_others(self, known: KnownLabels) -> None:
        """Take over what is ``known`` of the same examples, as another process has read them."""
        if self._values is None and known._count == self._count:
            self._values, self._there = known._values, known._there

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._count, self.listed, self._values, self._there)


def _made(count: int, listed: bool, values: Tensor | None, there: Tensor | None) -> KnownLabels:
    known = KnownLabels(count, values)
    known.listed, known._there = listed, there
    return known
