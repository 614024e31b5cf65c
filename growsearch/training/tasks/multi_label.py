"""Multi-label task: a network learns which of several labels an example has, each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.datasets.dataset import Split
from growsearch.metrics import mean_average_precision, predict_split
from growsearch.pareto import Direction
from growsearch.training.tasks.augmented import AugmentedExamples
from growsearch.training.tasks.task import Outputs, Scores


@dataclass(frozen=True, slots=True)
class MultiLabel(AugmentedExamples):
    """Labels are bool (N, K), logits (N, K); the loss is the mean binary cross-entropy.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import MultiLabel
        >>> labels = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]]).repeat(10, 1)
        >>> task = MultiLabel(from_tensors(torch.eye(4).repeat(10, 1), labels, task="multi-label"))
        >>> dict(task.metrics)
        {'mAP': 'maximize'}
    """

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,  # noqa: ARG002
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the binary cross-entropy; smoothing draws each target towards 1/2."""
        wanted = targets.to(outputs.dtype) * (1 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, wanted)

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """The mean average precision over labels."""
        return {"mAP": "maximize"}

    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return the mAP on ``split``, over the labels that some example of it has."""
        found, labels = predict_split(model, split)
        return Scores(metrics={"mAP": mean_average_precision(found.float(), labels)})
