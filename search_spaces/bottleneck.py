"""Bottleneck block of the deeper residual networks: 1 x 1, 3 x 3 and 1 x 1 convolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import ConvNorm
from search_spaces.group_builder import GroupBuilder

# The stream has so many times the channels of a block's inside.
EXPANSION = 4


class Bottleneck(nn.Module):
    """Reduce, convolve, expand, and a shortcut (He et al. 2016, figure 5 right).

    Stride and dilation sit in the 3 x 3 convolution, as in the published weights of torchvision.
    """

    def __init__(
        self,
        channels_in: int,
        inner: tuple[int, int],
        channels_out: int,
        *,
        stride: int,
        project: bool,
        dilation: int = 1,
    ):
        super().__init__()
        self.reduce = ConvNorm(channels_in, inner[0], kernel=1)
        self.spatial = ConvNorm(inner[0], inner[1], kernel=3, stride=stride, dilation=dilation)
        self.expand = ConvNorm(inner[1], channels_out, kernel=1)
        self.shortcut: nn.Module = (
            ConvNorm(channels_in, channels_out, kernel=1, stride=stride)
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(expand(relu(spatial(relu(reduce(x))))) + shortcut(x))."""
        inner = F.relu(self.spatial(F.relu(self.reduce(x))))
        return F.relu(self.expand(inner) + self.shortcut(x))


def declare_bottleneck(
    builder: GroupBuilder, block: Bottleneck, stream: str, inner: str, out: str
) -> None:
    """Say that ``block`` takes in ``stream`` and puts out ``out``; its inside is ``inner``.*."""
    builder.consumed_by(stream, block.reduce.conv)
    builder.produced_by(f"{inner}.reduce", block.reduce.conv, block.reduce.norm)
    builder.consumed_by(f"{inner}.reduce", block.spatial.conv)
    builder.produced_by(f"{inner}.spatial", block.spatial.conv, block.spatial.norm)
    builder.consumed_by(f"{inner}.spatial", block.expand.conv)
    builder.produced_by(out, block.expand.conv, block.expand.norm)
    if isinstance(block.shortcut, ConvNorm):
        builder.consumed_by(stream, block.shortcut.conv)
        builder.produced_by(out, block.shortcut.conv, block.shortcut.norm)
