"""Loading of batches by torch's DataLoader: workers, prefetch, pinned memory, and seeds.

A batch is read under a seed of its own, which follows from the epoch's order and the batch's place
in it. Data that draw at random, whichever of Python's, NumPy's and torch's generators they use, so
give the same batches whatever the number of workers, and after a resume.
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from growsearch.errors import GrowsearchError, MachineError

InputsAndLabels = tuple[Tensor, Tensor]

_PREFETCHED = 2
_MAX_USUAL_WORKERS = 8
_PINNED = ("cuda", "xpu")
# NumPy's seeds have 32 bits.
_SEEDS = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How batches are read: by so many ``workers`` beside the process that trains.

    0 reads in that process itself; None is one worker a core, 8 at most, shared between the
    ``trials`` that run at a time.
    """

    workers: int | None = None
    trials: int = 1

    @property
    def count(self) -> int:
        """The workers of one trial on this machine."""
        if self.workers is not None:
            return self.workers
        return min(_MAX_USUAL_WORKERS, max(1, len(os.sched_getaffinity(0)) // self.trials))


class Reader(Protocol):
    """Examples by their places."""

    def read(self, places: Sequence[int]) -> InputsAndLabels:
        """Return inputs (n, ...) as they lie, uint8 or float32, and labels (n,) int64.

        Raises:
            UsageError: naming the example that cannot be read.
        """
        ...


class PassReader(Protocol):
    """Examples in an order of their own, one pass after another."""

    def batches(self, size: int, seed: int) -> Iterator[InputsAndLabels]:
        """Yield one pass in batches, the last of which may be smaller."""
        ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a worker says instead of a batch: an exception loses its words between processes."""

    message: str


def read_in_order(
    reader: Reader, order: Tensor, size: int, loading: Loading
) -> Iterator[InputsAndLabels]:
    """Yield the examples at ``order`` (n,) in batches of ``size``, the last one with what is left.

    Raises:
        MachineError: for an example that cannot be read; no network is to blame.
    """
    return _loaded(_Batches(reader, order, size, seed_of(order)), loading.count)


def read_pass(
    reader: PassReader, size: int, seed: int, loading: Loading
) -> Iterator[InputsAndLabels]:
    """Yield one pass in batches of ``size``; one worker at most, as only one can hold the order.

    Raises:
        MachineError: for an example that cannot be read; no network is to blame.
    """
    return _loaded(_Pass(reader, size, seed), min(1, loading.count))


def seed_of(order: Tensor) -> int:
    """Return the seed that belongs to an epoch: it follows from its order, and draws nothing."""
    return zlib.crc32(order.numpy().tobytes())


def _loaded(dataset: TorchDataset[Any], workers: int) -> Iterator[InputsAndLabels]:
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=_pinned(),
        prefetch_factor=_PREFETCHED if workers else None,
        # Without one of its own the loader draws from the stream that networks draw from.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, _Failure):
            raise MachineError(batch.message)
        yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


def _pinned() -> bool:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found is not None and found.type in _PINNED


class _Batches(TorchDataset[Any]):
    """The batches of an epoch, by their numbers."""

    def __init__(self, reader: Reader, order: Tensor, size: int, seed: int) -> None:
        self._reader, self._parts, self._seed = reader, torch.split(order, size), seed

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> InputsAndLabels | _Failure:
        try:
            with seeded(self._seed + number):
                return self._reader.read(self._parts[number].tolist())
        except GrowsearchError as error:
            return _Failure(str(error))


class _Pass(IterableDataset[Any]):
    def __init__(self, reader: PassReader, size: int, seed: int) -> None:
        self._reader, self._size, self._seed = reader, size, seed

    def __iter__(self) -> Iterator[InputsAndLabels | _Failure]:
        batches = self._reader.batches(self._size, self._seed)
        number = 0
        while True:
            try:
                with seeded(self._seed + number):
                    batch = next(batches)
            except StopIteration:
                return
            except GrowsearchError as error:
                yield _Failure(str(error))
                return
            yield batch
            number += 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's shared generators; they are put back afterwards."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(seed)
        np.random.seed(seed % _SEEDS)
        # Of the processor alone: `manual_seed` would wake an accelerator in a forked worker.
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
