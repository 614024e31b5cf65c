"""MobileNetV1 (Howard et al. 2017, table 1) with one width a channel group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import ConvNorm, initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.families.mobilenet_v2 import DepthwiseNorm
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

_STEM = 32
# Channels that every depthwise separable block puts out.
_BLOCKS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
IMAGENET_STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
CIFAR_STRIDES = (1, 1, 1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class SeparableBlock(nn.Module):
    """A 3 x 3 convolution of every channel by itself, then a 1 x 1 one, each with BatchNorm, ReLU.

    (N, channels_in, H, W) to (N, channels_out, H / stride, W / stride).
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseNorm(channels_in, stride=stride)
        self.pointwise = ConvNorm(channels_in, channels_out, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the two in order."""
        return F.relu(self.pointwise(F.relu(self.depthwise(x))))


class MobileNetV1(nn.Module):
    """A 3 x 3 stem, 13 depthwise separable blocks, average pooling and a linear classifier.

    Args:
        widths: channels by group: "stem", and "block{b}" for those that a block puts out.
        strides: of the stem, then of every block.
        input_shape: (channels, height, width) of one example.
        num_classes: outputs of the classifier.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        strides: tuple[int, ...],
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        channels = widths["stem"]
        self.stem = ConvNorm(input_shape[0], channels, kernel=3, stride=strides[0])
        self.blocks = nn.ModuleList()
        for b, stride in enumerate(strides[1:]):
            self.blocks.append(SeparableBlock(channels, widths[f"block{b}"], stride=stride))
            channels = widths[f"block{b}"]
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the stem and every block's output, with the depthwise layers that follow them."""
        builder = GroupBuilder(self)
        stream = "stem"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for b, block in enumerate(self.blocks):
            assert isinstance(block, SeparableBlock)
            builder.produced_by(stream, block.depthwise.conv, block.depthwise.norm)
            builder.consumed_by(stream, block.pointwise.conv)
            stream = f"block{b}"
            builder.produced_by(stream, block.pointwise.conv, block.pointwise.norm)
        builder.consumed_by(stream, self.classifier)
        return builder.groups()


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV1Space(WidthSpace):
    """All widths, from one channel a group to the full configuration, of MobileNetV1."""

    strides: tuple[int, ...] = IMAGENET_STRIDES

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        return {"stem": _STEM} | {f"block{b}": width for b, width in enumerate(_BLOCKS)}

    def network(self, widths: Mapping[str, int]) -> MobileNetV1:
        """Build the network with fresh weights from torch's default generator."""
        return MobileNetV1(
            widths,
            strides=self.strides,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
