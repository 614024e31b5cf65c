"""Losses of an epoch, checked to be finite: at every step on a CPU, now and then elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from growsearch.errors import DivergedError

# To read a number off an accelerator is to wait for all that it still has to do.
_STEPS_BETWEEN_CHECKS = 32
_AT_ONCE = (
    ", before any update, so that no learning rate is to blame: the network puts out what is not "
    "finite, or the data hold it; look for a logarithm, a root or a division"
)


class Losses:
    """The losses of one epoch's steps; the first that is not finite ends the run, with its step."""

    def __init__(self, epoch: int, step: int) -> None:
        """Start behind ``epoch`` epochs and ``step`` steps of the run."""
        self._epoch, self._step = epoch, step
        self._values: list[float] = []
        self._waiting: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Take in the loss of one more step, a tensor without axes or gradient.

        Raises:
            DivergedError: naming the epoch and the step, of this loss or one before it.
        """
        self._waiting.append(loss)
        if loss.is_cpu or len(self._waiting) >= _STEPS_BETWEEN_CHECKS:
            self.check()

    def check(self) -> None:
        """Read the losses that are not read yet.

        Raises:
            DivergedError: at the first that is not finite.
        """
        waiting, self._waiting = self._waiting, []
        for value in _read(waiting):
            if not math.isfinite(value):
                step = self._step + len(self._values) + 1
                raise DivergedError(
                    f"the loss became {value} in epoch {self._epoch + 1}, step {step}"
                    + (_AT_ONCE if step == 1 else "; lower the learning rate")
                )
            self._values.append(value)

    def mean(self) -> float:
        """Return the mean over the steps that were checked."""
        return sum(self._values) / len(self._values)

    @contextmanager
    def told_first(self) -> Iterator[None]:
        """Check all at the end; in trouble too, which may come of a loss that was not read yet."""
        try:
            yield
        except DivergedError:
            raise
        except Exception as error:
            try:
                self.check()
            except DivergedError as diverged:
                raise diverged from error
            raise
        self.check()


def _read(losses: list[Tensor]) -> list[float]:
    if len(losses) == 1:
        return [float(losses[0])]
    found: list[float] = torch.stack(losses).cpu().tolist() if losses else []
    return found
