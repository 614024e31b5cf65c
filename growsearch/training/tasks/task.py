"""Task, the contract between the training loop and one kind of data: what is learned?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Inputs and targets.
InputsAndTargets = tuple[Tensor, Tensor]
# Maps a network and inputs (N, ...) to logits (N, ..., classes).
Forward = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How good a network is on data that it did not learn.

    ``accuracy`` is the share of targets that have the largest logit. ``perplexity`` is exp(mean
    negative log-likelihood of a target), of language models only.

    Example:
        >>> from growsearch.training import Scores
        >>> Scores(accuracy=0.9).perplexity is None
        True
    """

    accuracy: float
    perplexity: float | None = None


class Task(Protocol):
    """Where batches come from, how a network reads them and how it is judged.

    A batch holds inputs (N, ...) of N examples and one integer target, (N,), or several, (N, T), an
    example. The loss is `mean_loss`.
    """

    def settings(self) -> Mapping[str, object]:
        """Return what must be the same when a run goes on from a checkpoint."""
        ...

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches of one epoch."""
        ...

    def batch_examples(self, batch_size: int) -> int:
        """Return the examples of every batch: fewer than asked for where the data has fewer."""
        ...

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[InputsAndTargets]:
        """Yield the batches of one epoch."""
        ...

    def forward(self) -> Forward:
        """Return how one epoch's batches are read; it may carry something from one to the next."""
        ...

    def sample(self, count: int, generator: torch.Generator) -> InputsAndTargets:
        """Return ``count`` training examples, or all if there are fewer, in random order."""
        ...

    def evaluate(self, model: nn.Module) -> Scores:
        """Judge ``model`` on validation data, in evaluation mode; its mode is restored."""
        ...


def mean_loss(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy in nats of logits (..., classes), averaged over targets (...).

    Targets of floating point are probabilities (..., classes), as mixed images have.

    Example:
        >>> import torch
        >>> from growsearch.training import mean_loss
        >>> round(float(mean_loss(torch.zeros(3, 4), torch.tensor([0, 1, 2]))), 4)
        1.3863
    """
    shared = targets.is_floating_point() and targets.shape == logits.shape
    flat = targets.flatten(0, -2) if shared else targets.flatten()
    return F.cross_entropy(logits.flatten(0, -2), flat, label_smoothing=label_smoothing)
