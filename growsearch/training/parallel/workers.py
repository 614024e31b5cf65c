"""Workers that train one network together, as the loop sees them; by default there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
Guard = Callable[[], AbstractContextManager[object]]
# Named tensors, put together only where somebody compares them.
Parts = Callable[[], Sequence[tuple[str, Tensor]]]


class Workers(Protocol):
    """What the loop asks of the workers that share a run; every worker asks the same in order.

    All have the same network and draw the same from equal generators; they differ in the examples
    of a batch that they read. ``is_first`` is of the one that writes files and judges the network.
    """

    @property
    def is_first(self) -> bool:
        """Tell whether this is the worker that writes and judges."""
        ...

    def check(self, *, batch_examples: int, compiles: bool, device: torch.device) -> None:
        """Refuse what cannot be shared, before the first step."""
        ...

    def agree(self, model: nn.Module) -> None:
        """Give every worker the first one's parameters and buffers."""
        ...

    def compare(self, parts: Parts, epoch: int) -> None:
        """Raise if named tensors that must be equal are not, after ``epoch`` epochs."""
        ...

    def begin(self, epoch: int, seed: int, device: torch.device) -> None:
        """Give each worker a stream of its own for the epoch's forward passes (dropout)."""
        ...

    def guarded(self, guard: Guard) -> AbstractContextManager[object]:
        """Enter ``guard`` on the first worker; where that raises, all raise."""
        ...

    def reading(self) -> AbstractContextManager[object]:
        """Return what a training forward pass runs in."""
        ...

    def share(self, inputs: Tensor) -> Tensor:
        """Return this worker's examples of a batch (N, ...)."""
        ...

    def whole(self, outputs: Tensor, examples: int) -> Tensor:
        """Return the outputs (examples, ...) of all workers; the own ones keep their gradient."""
        ...

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over the workers in the place of each gradient."""
        ...

    def first(self, work: Callable[[], T]) -> T:
        """Return on every worker what ``work`` returns, or raises, on the first; only it works."""
        ...


class Alone:
    """The only worker: it reads every batch whole and asks nobody.

    Example:
        >>> import torch
        >>> from growsearch.training.parallel.workers import Alone
        >>> Alone().share(torch.arange(4))
        tensor([0, 1, 2, 3])
    """

    is_first = True

    def check(self, *, batch_examples: int, compiles: bool, device: torch.device) -> None:
        """Allow everything."""

    def agree(self, model: nn.Module) -> None:
        """Do nothing."""

    def compare(self, parts: Parts, epoch: int) -> None:
        """Do nothing."""

    def begin(self, epoch: int, seed: int, device: torch.device) -> None:
        """Do nothing."""

    def guarded(self, guard: Guard) -> AbstractContextManager[object]:
        """Return the guard."""
        return guard()

    def reading(self) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()

    def share(self, inputs: Tensor) -> Tensor:
        """Return all."""
        return inputs

    def whole(self, outputs: Tensor, examples: int) -> Tensor:  # noqa: ARG002
        """Return the outputs as they are."""
        return outputs

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Do nothing."""

    def first(self, work: Callable[[], T]) -> T:
        """Work."""
        return work()


ALONE = Alone()
