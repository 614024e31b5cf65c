"""Segmentation task: a network learns to name the class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from growsearch.datasets.augmentation import NO_AUGMENTATION
from growsearch.datasets.dataset import Split
from growsearch.errors import UsageError
from growsearch.metrics import confusion, mean_iou, pixel_accuracy
from growsearch.training.tasks.examples import Examples
from growsearch.training.tasks.task import Scores


@dataclass(frozen=True, slots=True)
class Segmentation(Examples):
    """Images with one class a pixel: labels are (N, H, W), logits (N, H, W, classes).

    Pixels of the label UNLABELLED are neither learned nor judged. There is no augmentation, which
    would have to move labels as well.

    Raises:
        UsageError: for labels of another shape, or a data set with augmentation.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Segmentation
        >>> labels = torch.arange(2).repeat(20).view(40, 1, 1).expand(40, 4, 4).contiguous()
        >>> task = Segmentation(from_tensors(torch.zeros(40, 3, 4, 4), labels))
        >>> inputs, labels = task.sample(2, torch.Generator().manual_seed(0))
        >>> inputs.shape, labels.shape
        (torch.Size([2, 3, 4, 4]), torch.Size([2, 4, 4]))
    """

    def __post_init__(self) -> None:
        Examples.__post_init__(self)
        name, split = self.dataset.name, self.dataset.train
        if split.labels.ndim != 3 or split.labels.shape[1:] != split.inputs.shape[2:]:
            raise UsageError(
                f"{name}: labels of shape {tuple(split.labels.shape[1:])} are not one a pixel of "
                f"images of {tuple(split.inputs.shape[1:])}"
            )
        if self.dataset.augmentation != NO_AUGMENTATION:
            raise UsageError(f"{name}: augmentation would leave the labels behind; use none")

    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return the share of labelled pixels that are right."""
        return Scores(accuracy=pixel_accuracy(self.confusion(model, split)))

    def mean_iou(self, model: nn.Module, split: Split) -> float:
        """Return the mean intersection over union on ``split``; see `growsearch.metrics`."""
        return mean_iou(self.confusion(model, split))

    def confusion(self, model: nn.Module, split: Split) -> Tensor:
        """Return the number of pixels by (true class, predicted class), in evaluation mode."""
        return confusion(model, split, classes=self.dataset.num_classes)
