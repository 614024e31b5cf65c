"""How is a network trained to name the class of every pixel?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.datasets.augmentation import NO_AUGMENTATION
from growsearch.datasets.dataset import Dataset, Split
from growsearch.errors import UsageError
from growsearch.metrics import confusion, mean_iou
from growsearch.training.classification import call
from growsearch.training.task import Batch, Forward, Scores
from growsearch.training.whole_batches import random_batch, whole_batches, whole_steps


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Images with one class a pixel: labels are (N, H, W), logits (N, H, W, classes).

    Batches are whole and in a fresh order every epoch. There is no augmentation, which would have
    to move labels as well.

    Raises:
        UsageError: for labels of another shape, or a data set with augmentation.
    """

    dataset: Dataset

    def __post_init__(self) -> None:
        name, split = self.dataset.name, self.dataset.train
        if split.labels.ndim != 3 or split.labels.shape[1:] != split.inputs.shape[2:]:
            raise UsageError(
                f"{name}: labels of shape {tuple(split.labels.shape[1:])} are not one a pixel of "
                f"images of {tuple(split.inputs.shape[1:])}"
            )
        if self.dataset.augmentation != NO_AUGMENTATION:
            raise UsageError(f"{name}: augmentation would leave the labels behind; use none")

    def settings(self) -> Mapping[str, object]:
        """Return the data's name and size."""
        return {"data": self.dataset.name, "images": len(self.dataset.train)}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of whole batches, at least one."""
        return whole_steps(self.dataset.train, batch_size)

    def batch_examples(self, batch_size: int) -> int:
        """Return the images of every batch."""
        return min(batch_size, len(self.dataset.train))

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Return batches of images (N, C, H, W) and labels (N, H, W)."""
        return whole_batches(self.dataset.train, batch_size, generator)

    def forward(self) -> Forward:
        """Return the plain call of a network."""
        return call

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """Return images and their labels."""
        return random_batch(self.dataset.train, count, generator)

    def evaluate(self, model: nn.Module) -> Scores:
        """Return the share of the validation split's pixels that are right."""
        table = self.confusion(model, self.dataset.validation)
        return Scores(accuracy=float(table.diagonal().sum() / table.sum()))

    def mean_iou(self, model: nn.Module, split: Split) -> float:
        """Return the mean intersection over union on ``split``; see `growsearch.metrics`."""
        return mean_iou(self.confusion(model, split))

    def confusion(self, model: nn.Module, split: Split) -> Tensor:
        """Return the number of pixels by (true class, predicted class), in evaluation mode."""
        return confusion(model, split, classes=self.dataset.num_classes)
