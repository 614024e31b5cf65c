"""Image entry of a network: pixels of 0 to 255 go in, probabilities come out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.datasets.preprocessing import ImageInput, OutputKind, Preprocessing


class ImageEntry(nn.Module):
    """A network with its preprocessing in front and, of classes and labels, probabilities behind.

    It takes images (N, H, W, C) uint8, as Pillow and NumPy hold them, at the network's input size.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, images: ImageInput, outputs: OutputKind) -> None:
        """Take a network for normalised images (N, C, H, W)."""
        super().__init__()
        self.network, self.outputs = network, outputs
        self.register_buffer("mean", torch.tensor(images.mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(images.deviation).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities (N, ...), or outputs as they are, of images (N, H, W, C)."""
        # As data sets do it (`Normalisation.apply`), operation by operation.
        pixels = images.permute(0, 3, 1, 2).contiguous().float()
        return told(self.network(pixels.sub(self.mean).div(self.deviation)), self.outputs)


def told(outputs: Tensor, kind: OutputKind) -> Tensor:
    """Return the probabilities of logits of classes or labels; other outputs as they are."""
    if kind == "classes":
        return outputs.softmax(dim=-1)
    return outputs.sigmoid() if kind == "labels" else outputs


def by_the_data(network: nn.Module, images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return what an `ImageEntry` has to give: images (N, H, W, C) go the way of the data sets."""
    assert preprocessing.images is not None
    inputs = preprocessing.images.normalisation.apply(images.permute(0, 3, 1, 2).contiguous())
    outputs: Tensor = network(inputs)
    return told(outputs, preprocessing.outputs)
