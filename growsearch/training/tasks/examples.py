"""Examples of a data set on their way to the training loop, whatever their labels are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.task_choice import BALANCED, BY_LABELS
from growsearch.pareto import Direction
from growsearch.training.tasks.class_loss import class_loss, class_weights
from growsearch.training.tasks.task import (
    Forward,
    InputsAndTargets,
    Outputs,
    Scores,
)
from growsearch.training.tasks.whole_batches import random_batch, whole_batches, whole_steps


@dataclass(frozen=True, slots=True)
class Examples(ABC):
    """Whole batches in a fresh order every epoch; what is left over waits for the next one.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Classification
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> inputs, labels = Classification(data).sample(3, torch.Generator().manual_seed(0))
        >>> inputs.shape, labels.shape
        (torch.Size([3, 4]), torch.Size([3]))
    """

    dataset: Dataset
    # What takes all training labels, which may have to be read, is found when training asks.
    found: dict[str, Any] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dataset.task.class_weights != BALANCED:
            self.found["weight"] = class_weights(self.dataset)

    @property
    def weight(self) -> Tensor | None:
        """The factors (classes,) of classes in the loss; None where all are alike."""
        if "weight" not in self.found:
            self.found["weight"] = class_weights(self.dataset)
        weight: Tensor | None = self.found["weight"]
        return weight

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,  # noqa: ARG002
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the loss of logits (N, ..., classes) for labels (N, ...); see `class_loss`."""
        return class_loss(
            outputs, targets, self.dataset, self.weight, label_smoothing=label_smoothing
        )

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """The accuracy."""
        return {"accuracy": "maximize"}

    def settings(self) -> Mapping[str, object]:
        """Return the data's name and size, and what was said of the task."""
        task = self.dataset.task
        chosen = {} if task == BY_LABELS else {"task": task}
        return {"data": self.dataset.name, "examples": len(self.dataset.train), **chosen}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of whole batches, at least one."""
        return whole_steps(self.dataset.train, batch_size)

    def batch_examples(self, batch_size: int) -> int:
        """Return the examples of every batch."""
        return min(batch_size, len(self.dataset.train))

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[InputsAndTargets]:
        """Yield inputs (N, ...) and their labels."""
        return whole_batches(self.dataset.train, batch_size, generator)

    def forward(self) -> Forward:
        """Return the plain call of a network."""
        return call

    def sample(self, count: int, generator: torch.Generator) -> InputsAndTargets:
        """Return examples without augmentation."""
        return random_batch(self.dataset.train, count, generator)

    def evaluate(self, model: nn.Module) -> Scores:
        """Judge ``model`` on the validation split."""
        return self.scores(model, self.dataset.validation)

    @abstractmethod
    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Judge ``model`` on ``split``, in evaluation mode; its mode is restored."""


def call(model: nn.Module, inputs: Tensor) -> Outputs:
    """Return the outputs of ``model``."""
    return model(inputs)
