"""Classification task: labelled examples, one label each."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from growsearch.datasets.dataset import Split
from growsearch.metrics import accuracy, predict_split
from growsearch.training.tasks.augmented import AugmentedExamples
from growsearch.training.tasks.task import Scores


@dataclass(frozen=True, slots=True)
class Classification(AugmentedExamples):
    """Labels are (N,), logits (N, classes); training batches are augmented.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Classification
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> Classification(data).steps_per_epoch(batch_size=8)
        4
    """

    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return the accuracy on ``split``, and which examples are right."""
        logits, labels = predict_split(model, split)
        return Scores(accuracy=accuracy(logits, labels), right=logits.argmax(dim=1) == labels)
