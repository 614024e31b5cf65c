"""Mean intersection over union (mIoU) and pixel accuracy of a segmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Split
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.placement import beside

_IMAGES = 16


@torch.no_grad()
def confusion(model: nn.Module, split: Split, *, classes: int) -> Tensor:
    """Return the number of pixels (classes, classes) float64 by true and by predicted class.

    Args:
        model: maps images (N, C, H, W) to logits (N, H, W, classes).
        split: its labels are (N, H, W); pixels of a negative one are left out.
        classes: how many there are.

    Example:
        >>> import torch
        >>> from growsearch.datasets import Split
        >>> from growsearch.metrics import confusion
        >>> class ChannelsAreClasses(torch.nn.Module):
        ...     def forward(self, images):
        ...         return images.permute(0, 2, 3, 1)
        >>> images = torch.tensor([[[[3.0, 0.0]], [[1.0, 2.0]]]])
        >>> split = Split(inputs=images, labels=torch.tensor([[[0, 0]]]))
        >>> confusion(ChannelsAreClasses(), split, classes=2).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """
    table = torch.zeros(classes * classes, dtype=torch.float64)
    with evaluating(model):
        for start in range(0, len(split), _IMAGES):
            part = slice(start, start + _IMAGES)
            images, labels = beside(model, split.inputs[part], split.labels[part])
            found = model(images).argmax(dim=-1)
            there = labels >= 0
            pairs = labels[there] * classes + found[there]
            table += torch.bincount(pairs.cpu(), minlength=classes * classes)
    return table.view(classes, classes)


def pixel_accuracy(table: Tensor) -> float:
    """Return the share of pixels whose class is right; ``table`` as of `mean_iou`.

    Example:
        >>> import torch
        >>> from growsearch.metrics import pixel_accuracy
        >>> pixel_accuracy(torch.tensor([[3.0, 1.0], [0.0, 4.0]]))
        0.875
    """
    return float(table.diagonal().sum() / table.sum())


def mean_iou(table: Tensor) -> float:
    """Return the mean over classes of intersection over union, without classes of no pixel.

    The measure of Pascal VOC (Everingham et al. 2010, section 4.2.4), a share in [0, 1].

    Args:
        table: (classes, classes) pixels by true and by predicted class; see `confusion`.

    Example:
        >>> import torch
        >>> from growsearch.metrics import mean_iou
        >>> round(mean_iou(torch.tensor([[3.0, 1.0], [0.0, 4.0]])), 3)
        0.775
    """
    union = table.sum(dim=0) + table.sum(dim=1) - table.diagonal()
    there = union > 0
    return float((table.diagonal()[there] / union[there]).mean())
