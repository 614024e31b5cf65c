"""How is a network trained on labelled examples, one label each?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Dataset
from growsearch.metrics import accuracy, predict
from growsearch.training.task import Batch, Forward, Scores


@dataclass(frozen=True, slots=True)
class Classification:
    """Whole, augmented batches in a fresh order every epoch; the rest waits for the next one."""

    dataset: Dataset

    def settings(self) -> Mapping[str, object]:
        """Return the data's name and size."""
        return {"data": self.dataset.name, "examples": len(self.dataset.train)}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of whole batches, at least one."""
        return max(1, len(self.dataset.train) // batch_size)

    def batch_examples(self, batch_size: int) -> int:
        """Return the examples of every batch."""
        return min(batch_size, len(self.dataset.train))

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield inputs (N, ...) and labels (N,)."""
        split, size = self.dataset.train, self.batch_examples(batch_size)
        order = torch.randperm(len(split), generator=generator)
        for start in range(0, self.steps_per_epoch(batch_size) * size, size):
            chosen = order[start : start + size]
            inputs = self.dataset.augmentation.apply(split.inputs[chosen], generator)
            yield inputs, split.labels[chosen]

    def forward(self) -> Forward:
        """Return the plain call of a network."""
        return call

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """Return examples without augmentation."""
        split = self.dataset.train
        chosen = torch.randperm(len(split), generator=generator)[:count]
        return split.inputs[chosen], split.labels[chosen]

    def evaluate(self, model: nn.Module) -> Scores:
        """Return the accuracy on the validation split."""
        split = self.dataset.validation
        return Scores(accuracy=accuracy(predict(model, split.inputs), split.labels))


def call(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits of ``model``."""
    logits: Tensor = model(inputs)
    return logits
