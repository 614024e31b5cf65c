"""How is a network trained on labelled examples, one label each?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Dataset
from growsearch.metrics import accuracy, predict
from growsearch.training.task import Batch, Forward, Scores
from growsearch.training.whole_batches import random_batch, whole_batches, whole_steps


@dataclass(frozen=True, slots=True)
class Classification:
    """Whole, augmented batches in a fresh order every epoch; the rest waits for the next one."""

    dataset: Dataset

    def settings(self) -> Mapping[str, object]:
        """Return the data's name and size."""
        return {"data": self.dataset.name, "examples": len(self.dataset.train)}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of whole batches, at least one."""
        return whole_steps(self.dataset.train, batch_size)

    def batch_examples(self, batch_size: int) -> int:
        """Return the examples of every batch."""
        return min(batch_size, len(self.dataset.train))

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield inputs (N, ...) and labels (N,)."""
        for inputs, labels in whole_batches(self.dataset.train, batch_size, generator):
            yield self.dataset.augmentation.apply(inputs, generator), labels

    def forward(self) -> Forward:
        """Return the plain call of a network."""
        return call

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """Return examples without augmentation."""
        return random_batch(self.dataset.train, count, generator)

    def evaluate(self, model: nn.Module) -> Scores:
        """Return the accuracy on the validation split."""
        split = self.dataset.validation
        return Scores(accuracy=accuracy(predict(model, split.inputs), split.labels))


def call(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits of ``model``."""
    logits: Tensor = model(inputs)
    return logits
