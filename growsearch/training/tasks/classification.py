"""Classification task: labelled examples, one label each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from growsearch.datasets.dataset import Split
from growsearch.metrics import accuracy, predict_split
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.task import InputsAndTargets, Scores
from growsearch.training.tasks.whole_batches import whole_batches


@dataclass(frozen=True, slots=True)
class Classification(Examples):
    """Labels are (N,), logits (N, classes); training batches are augmented.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Classification
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> Classification(data).steps_per_epoch(batch_size=8)
        4
    """

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[InputsAndTargets]:
        """Yield inputs (N, ...) and labels (N,), or probabilities (N, classes) of mixed ones."""
        for inputs, labels in whole_batches(self.dataset.train, batch_size, generator):
            yield self.dataset.augmented(inputs, labels, generator)

    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return the accuracy on ``split``."""
        return Scores(accuracy=accuracy(*predict_split(model, split)))
