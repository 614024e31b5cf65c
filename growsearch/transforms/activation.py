"""Activation inside transformed layers: BatchNorm, then ReLU (arXiv 2303.11525, appendix C.2)."""

from __future__ import annotations

from torch import Tensor, nn

from growsearch.transforms.targets import Layer


class NormReLU(nn.Module):
    """BatchNorm over the last axis, then ReLU: (..., channels) in and out.

    Linear layers put channels last; nn.BatchNorm1d would take axis 1 of a sequence for channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel over all other axes, then clip at zero."""
        flat: Tensor = self.norm(x.reshape(-1, x.shape[-1]))
        return flat.relu().view(x.shape)


def activation_for(layer: Layer, channels: int) -> nn.Module:
    """Return act for ``channels`` outputs of ``layer``'s kind."""
    if isinstance(layer, nn.Linear):
        return NormReLU(channels)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
