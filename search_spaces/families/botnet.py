"""BotNet-50: ResNet-50 with attention in its last stage (Srinivas et al. 2021, BoT50)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.attention import ImageAttention
from search_spaces.blocks import ConvNorm, initialise
from search_spaces.bottleneck import Bottleneck, declare_bottleneck
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

_BLOCKS = (3, 4, 6, 3)
_ATTENTION_STAGE = len(_BLOCKS) - 1
_HEADS, _HEAD_SIZE = 4, 128
_BASE_WIDTH = 64


class AttentionBottleneck(nn.Module):
    """A bottleneck whose 3 x 3 convolution is attention; a stride is average pooling after it."""

    def __init__(
        self,
        channels_in: int,
        inner: int,
        channels_out: int,
        *,
        stride: int,
        project: bool,
        size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.reduce = ConvNorm(channels_in, inner, kernel=1)
        self.attention = ImageAttention(inner, heads=_HEADS, head_size=_HEAD_SIZE, size=size)
        self.stride = stride
        self.norm = nn.BatchNorm2d(_HEADS * _HEAD_SIZE)
        self.expand = ConvNorm(_HEADS * _HEAD_SIZE, channels_out, kernel=1)
        self.shortcut: nn.Module = (
            ConvNorm(channels_in, channels_out, kernel=1, stride=stride)
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, H / stride, W / stride)."""
        inner = self.attention(F.relu(self.reduce(x)))
        if self.stride > 1:
            inner = F.avg_pool2d(inner, self.stride, ceil_mode=True)
        return F.relu(self.expand(F.relu(self.norm(inner))) + self.shortcut(x))


class BotNet(nn.Module):
    """ResNet-50's stem and first three stages, then three bottlenecks with attention.

    Args:
        widths: channels by group: "stem", "stage{s}" for residual streams, and inside the blocks
            "stage{s}.block{b}.reduce" and, outside the last stage, ".spatial".
        large_images: a 7 x 7 stem of stride 2 with max pooling; else a 3 x 3 stem.
        input_shape: (channels, height, width) of one example; attention fixes height and width.
        num_classes: outputs of the classifier.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        large_images: bool,
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.large_images = large_images
        kernel, stride = (7, 2) if large_images else (3, 1)
        self.stem = ConvNorm(channels, widths["stem"], kernel=kernel, stride=stride)
        shrink = 4 if large_images else 1
        size = -(-height // shrink), -(-width // shrink)
        channels = widths["stem"]
        self.stages = nn.ModuleList()
        for s, count in enumerate(_BLOCKS):
            stage = nn.ModuleList()
            for b in range(count):
                stage.append(_block(widths, channels, (s, b), size))
                if s > 0 and b == 0:
                    size = -(-size[0] // 2), -(-size[1] // 2)
                channels = widths[f"stage{s}"]
            self.stages.append(stage)
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.relu(self.stem(x))
        if self.large_images:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the stem, the streams and the blocks' insides; attention heads are fixed."""
        builder = GroupBuilder(self)
        stream = "stem"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for b, block in enumerate(stage):
                inner, out = f"stage{s}.block{b}", f"stage{s}"
                if isinstance(block, Bottleneck):
                    declare_bottleneck(builder, block, stream, inner, out)
                else:
                    assert isinstance(block, AttentionBottleneck)
                    _declare(builder, block, stream, inner, out)
                stream = out
        builder.consumed_by(stream, self.classifier)
        return builder.groups()


def _block(
    widths: Mapping[str, int], channels: int, place: tuple[int, int], size: tuple[int, int]
) -> nn.Module:
    s, b = place
    stride, project = (2 if s > 0 and b == 0 else 1), b == 0
    out, reduce = widths[f"stage{s}"], widths[f"stage{s}.block{b}.reduce"]
    if s == _ATTENTION_STAGE:
        return AttentionBottleneck(channels, reduce, out, stride=stride, project=project, size=size)
    inner = reduce, widths[f"stage{s}.block{b}.spatial"]
    return Bottleneck(channels, inner, out, stride=stride, project=project)


def _declare(
    builder: GroupBuilder, block: AttentionBottleneck, stream: str, inner: str, out: str
) -> None:
    builder.consumed_by(stream, block.reduce.conv)
    builder.produced_by(f"{inner}.reduce", block.reduce.conv, block.reduce.norm)
    builder.consumed_by(f"{inner}.reduce", block.attention.query_key_value)
    builder.produced_by(out, block.expand.conv, block.expand.norm)
    if isinstance(block.shortcut, ConvNorm):
        builder.consumed_by(stream, block.shortcut.conv)
        builder.produced_by(out, block.shortcut.conv, block.shortcut.norm)


@dataclass(frozen=True, slots=True, kw_only=True)
class BotNetSpace(WidthSpace):
    """All widths, from one channel a group to the full configuration, of BotNet-50."""

    large_images: bool = True

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        widths = {"stem": _BASE_WIDTH}
        for s, count in enumerate(_BLOCKS):
            planes = _BASE_WIDTH * 2**s
            widths[f"stage{s}"] = planes * 4
            for b in range(count):
                widths[f"stage{s}.block{b}.reduce"] = planes
                if s != _ATTENTION_STAGE:
                    widths[f"stage{s}.block{b}.spatial"] = planes
        return widths

    def network(self, widths: Mapping[str, int]) -> BotNet:
        """Build the network with fresh weights from torch's default generator."""
        return BotNet(
            widths,
            large_images=self.large_images,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
