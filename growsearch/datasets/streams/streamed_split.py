"""Streamed split: the contract of a `Split` without its inputs in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from growsearch.datasets.dataset import LabelKind, Split, labels_are
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.datasets.streams.known_labels import KnownLabels
from growsearch.datasets.streams.loading import (
    InputsAndLabels,
    Loading,
    PassReader,
    Reader,
    read_in_order,
    read_pass,
    seed_of,
)
from growsearch.errors import MachineError, UsageError

_BATCH = 64
# Enough for the mean of a pixel to a hundredth of its deviation.
_MAX_LOOKED_AT = 2048
_MAX_LOOKED_AT_BYTES = 2**29


def looked_at(count: int, shape: tuple[int, ...]) -> Tensor:
    """Return the places, at equal distances, of the images whose statistics stand for ``count``.

    They are 2,048 at most, fewer of large ones: what half a gigabyte holds as uint8.

    Example:
        >>> from growsearch.datasets.streams.streamed_split import looked_at
        >>> looked_at(3, (3, 8, 8)).tolist(), len(looked_at(10**6, (3, 4000, 3000)))
        ([0, 1, 2], 14)
    """
    seen = max(1, min(_MAX_LOOKED_AT, count, _MAX_LOOKED_AT_BYTES // math.prod(shape)))
    return torch.arange(seen) * count // seen


class Examples(Protocol):
    """What can be streamed: how many examples there are, of which shape, and their labels.

    ``labels`` (N, ...), of ``label_type`` and one example's ``label_shape``, is None where only
    reading the examples tells. It has ``read`` (`Reader`) or, in an order of its own, ``batches``
    (`PassReader`).
    """

    name: str
    shape: tuple[int, ...]
    labels: Tensor | None
    label_shape: tuple[int, ...]
    label_type: torch.dtype

    def __len__(self) -> int:
        """Return the number of examples."""
        ...


class StreamedSplit(Split):
    """Examples that are read batch by batch; labels are kept once they are known.

    Parts of the same examples share what is known of their labels.

    ``inputs`` is refused by name: what needs them all at once does not go with streamed data.
    """

    __slots__ = ("_as_numbers", "_chosen", "_examples", "_known", "_loading", "_normalisation")

    _examples: Examples
    _normalisation: Normalisation
    _chosen: Tensor | None
    _loading: Loading
    _known: KnownLabels
    # Classes are given out as the numbers that they are.
    _as_numbers: bool

    def __init__(
        self,
        examples: Examples,
        *,
        normalisation: Normalisation = IDENTITY,
        chosen: Tensor | None = None,
        loading: Loading | None = None,
        known: KnownLabels | None = None,
        as_numbers: bool = False,
    ) -> None:
        """Take the ``chosen`` (n,) of ``examples``, or all; uint8 inputs are normalised.

        ``known`` is what other parts of the examples share with it; ``as_numbers`` makes classes
        the targets of a regression.
        """
        own = {
            "_examples": examples,
            "_normalisation": normalisation,
            "_chosen": chosen,
            "_loading": loading or Loading(),
            "_known": known or KnownLabels(len(examples), examples.labels),
            "_as_numbers": as_numbers,
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @property
    def inputs(self) -> Tensor:
        """Refused.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"dataset: {self._examples.name} is streamed, and this needs all of its inputs in "
            "memory; take fewer examples (subset), or raise data.memory"
        )

    @property
    def labels(self) -> Tensor:
        """Labels (N, ...); reads all examples once where nothing else tells them."""
        found = self._known.at(self._chosen)
        if found is None:
            found = torch.cat([labels for _, labels in self._raw(_BATCH, None)])
            self._known.keep(self._chosen, found)
        return self._given_out(found)

    @property
    def labels_are_known(self) -> bool:
        """Are the labels there without reading all examples?"""
        return self._known.has(self._chosen)

    @property
    def labels_are_listed(self) -> bool:
        """Do the data list their labels, so that no example has to be read for them?"""
        return self._known.listed

    @property
    def known_labels(self) -> KnownLabels:
        """What is known of the labels of all these examples, those of other parts included."""
        return self._known

    def with_numbers(self) -> StreamedSplit:
        """Return the same examples, whose classes (N,) are numbers to predict."""
        return self._with(as_numbers=True)

    @property
    def streamed(self) -> bool:
        """True."""
        return True

    @property
    def workers(self) -> int:
        """How many processes read."""
        return min(1, self._loading.count) if self._passes else self._loading.count

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape."""
        return self._examples.shape

    @property
    def input_type(self) -> torch.dtype:
        """float32: what is read as uint8 is normalised."""
        return torch.float32

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of one example's labels: () of one class or number."""
        return self._examples.label_shape

    @property
    def label_type(self) -> torch.dtype:
        """int64, float32 or bool."""
        return torch.float32 if self._as_numbers else self._examples.label_type

    @property
    def label_kind(self) -> LabelKind:
        """What its labels are, see `labels_are`."""
        return labels_are(torch.empty((0, *self.label_shape), dtype=self.label_type))

    @property
    def examples(self) -> Examples:
        """What is streamed, of which this may be a part."""
        return self._examples

    @property
    def chosen(self) -> Tensor | None:
        """The places (n,) of its examples among them; None is all."""
        return self._chosen

    @property
    def has_own_order(self) -> bool:
        """Do the examples come in an order of their own, so that none can be asked for?"""
        return self._passes

    @property
    def _passes(self) -> bool:
        return not hasattr(self._examples, "read")

    def __len__(self) -> int:
        return len(self._examples) if self._chosen is None else len(self._chosen)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"StreamedSplit({self._examples.name!r}, {len(self)} examples)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._examples, self._settings)

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "normalisation": self._normalisation,
            "chosen": self._chosen,
            "loading": self._loading,
            "known": self._known,
            "as_numbers": self._as_numbers,
        }

    def _with(self, **changes: Any) -> StreamedSplit:
        return _made(self._examples, {**self._settings, **changes})

    def at(self, places: Tensor) -> Split:
        """Read the examples at ``places`` (n,) into memory, in this order."""
        inputs, labels = self._as_they_lie(places)
        return Split(inputs=self._normalised(inputs), labels=self._given_out(labels))

    def normalised(self) -> tuple[StreamedSplit, Normalisation, int]:
        """Return the split normalised by its own images, the statistics, and of how many they are.

        They are of `looked_at`, or of the first ones of images that come in an order of their own.
        Inputs that are not uint8 stay as they are.
        """
        places = looked_at(len(self), self.input_shape)
        count = len(places)
        if self._passes:
            places = torch.arange(count)
        if self._as_they_lie(places[:1])[0].dtype != torch.uint8:
            return self, IDENTITY, 0
        found = Normalisation.of(self._as_they_lie(places)[0])
        return self.normalised_by(found), found, count

    def _as_they_lie(self, places: Tensor) -> InputsAndLabels:
        if self._passes:
            return self._from_a_pass(places)
        loading = self._loading if len(places) > 4 * _BATCH else Loading(workers=0)
        parts = list(read_in_order(self._reader, self._places(places), _BATCH, loading))
        inputs, labels = (torch.cat(part) for part in zip(*parts, strict=True))
        return inputs, labels

    def take(self, places: Tensor) -> StreamedSplit:
        """Return a part, streamed as the whole is.

        Raises:
            UsageError: for data that come in an order of their own.
        """
        if self._passes:
            raise UsageError(
                f"subset: {self._examples.name} comes in an order of its own, of which no part can "
                "be taken; give a shorter one, or a data set with __getitem__"
            )
        return self._with(chosen=self._places(places))

    def at_places(self, places: Tensor) -> StreamedSplit:
        """Return the examples at ``places`` (n,) of all that are streamed."""
        return self._with(chosen=places)

    def with_examples(self, examples: Examples) -> StreamedSplit:
        """Return all of other ``examples``, read and normalised as these are."""
        return _made(examples, {**self._settings, "chosen": None, "known": None})

    def loaded_by(self, loading: Loading) -> StreamedSplit:
        """Return the same examples, read by other workers."""
        return self._with(loading=loading)

    def normalised_by(self, normalisation: Normalisation) -> StreamedSplit:
        """Return the same examples; those that lie as uint8 go through ``normalisation``."""
        return self._with(normalisation=normalisation)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[InputsAndLabels]:
        """Yield normalised inputs (size, ...) and labels; the last batch may be smaller.

        Args:
            size: examples of a batch.
            order: places (n,); None is all of them as they lie. Examples that come in an order of
                their own keep it: then it only seeds the pass, and says how many are taken.

        Raises:
            MachineError: for an example that cannot be read.
        """
        for inputs, labels in self._raw(size, order):
            yield self._normalised(inputs), self._given_out(labels)

    def _raw(self, size: int, order: Tensor | None) -> Iterator[InputsAndLabels]:
        if self._passes:
            return self._one_pass(size, order)
        places = torch.arange(len(self)) if order is None else order
        return read_in_order(self._reader, self._places(places), size, self._loading)

    def _one_pass(self, size: int, order: Tensor | None) -> Iterator[InputsAndLabels]:
        wanted = len(self) if order is None else len(order)
        seed, read = 0 if order is None else seed_of(order), 0
        for inputs, labels in read_pass(self._pass_reader, size, seed, self._loading):
            kept = min(len(labels), wanted - read)
            if kept:
                yield inputs[:kept], labels[:kept]
            read += kept
            if read == wanted:
                return
        raise MachineError(
            f"dataset: {self._examples.name} ended after {read:,} examples of the {wanted:,} that "
            "its length promises; let __len__ say how many there are"
        )

    def _from_a_pass(self, places: Tensor) -> InputsAndLabels:
        found: dict[int, tuple[Tensor, Tensor]] = {}
        wanted, start = set(places.tolist()), 0
        for inputs, labels in self._raw(_BATCH, torch.arange(int(places.max()) + 1)):
            here = wanted.intersection(range(start, start + len(labels)))
            found |= {place: (inputs[place - start], labels[place - start]) for place in here}
            start += len(labels)
        pairs = [found[place] for place in places.tolist()]
        inputs, labels = (torch.stack(part) for part in zip(*pairs, strict=True))
        return inputs, labels

    def _places(self, places: Tensor) -> Tensor:
        return places if self._chosen is None else self._chosen[places]

    def _given_out(self, labels: Tensor) -> Tensor:
        return labels.float() if self._as_numbers else labels

    def _normalised(self, inputs: Tensor) -> Tensor:
        return self._normalisation.apply(inputs) if inputs.dtype == torch.uint8 else inputs

    @property
    def _reader(self) -> Reader:
        return cast(Reader, self._examples)

    @property
    def _pass_reader(self) -> PassReader:
        return cast(PassReader, self._examples)


def _made(examples: Examples, settings: dict[str, Any]) -> StreamedSplit:
    return StreamedSplit(examples, **settings)
