"""Task, the contract between the training loop and one kind of data: what is learned?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.pareto import Direction

# Inputs and targets.
InputsAndTargets = tuple[Tensor, Tensor]
# Logits (N, ..., classes) of classes; what an own task reads out of it is its own business.
Outputs = Any
# Maps a network and inputs (N, ...) to its outputs.
Forward = Callable[[nn.Module, Tensor], Outputs]
# Maps outputs and their targets to a scalar.
Loss = Callable[[Outputs, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How good a network is on data that it did not learn.

    ``accuracy`` is the share of targets that have the largest logit, of classes only.
    ``perplexity`` is exp(mean negative log-likelihood of a target), of language models only.
    ``metrics`` are what other tasks are judged by; `Task.metrics` names them with directions.
    ``right`` tells of each example (N,) whether it is, of classes of examples only.

    Example:
        >>> from growsearch.training import Scores
        >>> Scores(accuracy=0.9).perplexity is None
        True
        >>> Scores(metrics={"mae": 0.5}).named()
        {'mae': 0.5}
    """

    accuracy: float | None = None
    perplexity: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    right: Tensor | None = field(default=None, compare=False, repr=False)

    def named(self) -> dict[str, float]:
        """Return all that is known, by name."""
        known = {"accuracy": self.accuracy, "perplexity": self.perplexity, **self.metrics}
        return {name: value for name, value in known.items() if value is not None}


class Task(Protocol):
    """Where batches come from, how a network reads them and how it is judged.

    A batch holds inputs (N, ...) of N examples and their targets (N, ...): of classes integers, one
    an example (N,), a word (N, T) or a pixel (N, H, W). All that trains, grows, ranks weights or
    measures gradients goes by the task's own `loss`.
    """

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the loss of a batch, a scalar with a gradient.

        Args:
            outputs: what the network gave for ``inputs``.
            targets: (N, ...).
            inputs: as the network saw them, for tasks that ask another network about them.
            label_smoothing: of the recipe; tasks without classes refuse one above 0.
        """
        ...

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """What `evaluate` tells, and which way is better; the first stands for all on a rung."""
        ...

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


def loss_on(task: Task, inputs: Tensor, *, label_smoothing: float = 0.0) -> Loss:
    """Return the loss of ``task`` for outputs of ``inputs``, as a function of (outputs, targets).

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import loss_on, task_of
        >>> inputs, labels = torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10)
        >>> loss = loss_on(task_of(from_tensors(inputs, labels)), inputs)
        >>> round(float(loss(torch.zeros(40, 4), labels)), 4)
        1.3863
    """

    def loss(outputs: Outputs, targets: Tensor) -> Tensor:
        seen = inputs.to(targets.device)
        return task.loss(outputs, targets, inputs=seen, label_smoothing=label_smoothing)

    return loss


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
