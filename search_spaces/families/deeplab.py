"""DeepLab-v3 (Chen et al. 2017, arXiv 1706.05587) over a dilated ResNet, one width a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import ConvNorm, initialise
from search_spaces.bottleneck import EXPANSION, Bottleneck, declare_bottleneck
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

# (stride, dilation of the first block, dilation of the others) by stage: the strides of the last
# two stages become dilations, and the output is an eighth of the input (section 3.2).
_STAGES = ((1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4))
_PARTS = ("reduce", "spatial")


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (section 3.3): five views of one map, put together.

    The views are a 1 x 1 convolution, one 3 x 3 convolution a rate, and the mean of the image. The
    published 1 x 1 convolution of the concatenated views is here the sum of one a view, which is
    the same function with the same weights, but each view is a channel group of its own.
    """

    def __init__(
        self, channels: int, views: tuple[int, ...], channels_out: int, *, rates: tuple[int, ...]
    ):
        super().__init__()
        point, *atrous, pooled = views
        self.point = ConvNorm(channels, point, kernel=1)
        self.atrous = nn.ModuleList(
            ConvNorm(channels, width, kernel=3, dilation=rate)
            for width, rate in zip(atrous, rates, strict=True)
        )
        self.pooled = ConvNorm(channels, pooled, kernel=1)
        self.project = nn.ModuleList(
            nn.Conv2d(width, channels_out, 1, bias=False) for width in views
        )
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels_out, H, W)."""
        mean = F.relu(self.pooled(x.mean(dim=(2, 3), keepdim=True)))
        views = [F.relu(self.point(x)), *(F.relu(layer(x)) for layer in self.atrous)]
        views.append(mean.expand(-1, -1, x.shape[2], x.shape[3]))
        total = self.project[0](views[0])
        for layer, view in zip(self.project[1:], views[1:], strict=True):
            total = total + layer(view)
        return F.relu(self.norm(total))

    def views(self) -> tuple[ConvNorm, ...]:
        """Return the layers that make the five views."""
        atrous = tuple(layer for layer in self.atrous if isinstance(layer, ConvNorm))
        return (self.point, *atrous, self.pooled)


class DeepLabV3(nn.Module):
    """A bottleneck ResNet at an eighth of the resolution, the pyramid, and a score a pixel.

    Args:
        widths: channels by group: those of the ResNet (see `ResNetImageNet`), then
            "pyramid.view{v}", "pyramid" and "head".
        blocks: blocks of each of the four stages.
        rates: dilations of the pyramid's 3 x 3 convolutions.
        input_shape: (channels, height, width) of one image.
        num_classes: kinds of pixels.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        blocks: tuple[int, ...],
        rates: tuple[int, ...],
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        channels = widths["stem"]
        self.stem = ConvNorm(input_shape[0], channels, kernel=7, stride=2)
        self.stages = nn.ModuleList()
        for s, count in enumerate(blocks):
            stage = nn.ModuleList()
            for b in range(count):
                stage.append(_block(widths, channels, s, b))
                channels = widths[f"stage{s}"]
            self.stages.append(stage)
        views = tuple(widths[name] for name in _views(rates))
        self.pyramid = Pyramid(channels, views, widths["pyramid"], rates=rates)
        self.head = ConvNorm(widths["pyramid"], widths["head"], kernel=3)
        self.classifier = nn.Conv2d(widths["head"], num_classes, 1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, H, W, classes)."""
        size = x.shape[2:]
        x = F.max_pool2d(F.relu(self.stem(x)), 3, stride=2, padding=1)
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        logits = self.classifier(F.relu(self.head(self.pyramid(x))))
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return logits.permute(0, 2, 3, 1)

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the streams, the groups inside blocks, the pyramid's views and the head."""
        builder = GroupBuilder(self)
        builder.produced_by("stem", self.stem.conv, self.stem.norm)
        stream = "stem"
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for b, block in enumerate(stage):
                assert isinstance(block, Bottleneck)
                declare_bottleneck(builder, block, stream, f"stage{s}.block{b}", f"stage{s}")
                stream = f"stage{s}"
        for v, (view, project) in enumerate(
            zip(self.pyramid.views(), self.pyramid.project, strict=True)
        ):
            builder.consumed_by(stream, view.conv)
            builder.produced_by(f"pyramid.view{v}", view.conv, view.norm)
            builder.consumed_by(f"pyramid.view{v}", project)
        builder.produced_by("pyramid", *self.pyramid.project, self.pyramid.norm)
        builder.consumed_by("pyramid", self.head.conv)
        builder.produced_by("head", self.head.conv, self.head.norm)
        builder.consumed_by("head", self.classifier)
        return builder.groups()


def _block(widths: Mapping[str, int], channels: int, s: int, b: int) -> Bottleneck:
    stride, first, others = _STAGES[s]
    reduce, spatial = (widths[f"stage{s}.block{b}.{part}"] for part in _PARTS)
    return Bottleneck(
        channels,
        (reduce, spatial),
        widths[f"stage{s}"],
        stride=stride if b == 0 else 1,
        project=b == 0,
        dilation=first if b == 0 else others,
    )


def _views(rates: tuple[int, ...]) -> list[str]:
    return [f"pyramid.view{v}" for v in range(len(rates) + 2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepLabSpace(WidthSpace):
    """All widths, from one channel a group to the full configuration, of one DeepLab-v3.

    ``blocks`` are those of the ResNet's four stages; a target is one class a pixel.
    """

    blocks: tuple[int, ...]
    base_width: int = 64
    head_width: int = 256
    rates: tuple[int, ...] = (12, 24, 36)

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        widths = {"stem": self.base_width}
        for s, count in enumerate(self.blocks):
            planes = self.base_width * 2**s
            widths[f"stage{s}"] = planes * EXPANSION
            widths |= {f"stage{s}.block{b}.{p}": planes for b in range(count) for p in _PARTS}
        return widths | dict.fromkeys([*_views(self.rates), "pyramid", "head"], self.head_width)

    def network(self, widths: Mapping[str, int]) -> DeepLabV3:
        """Build the network with fresh weights from torch's default generator."""
        return DeepLabV3(
            widths,
            blocks=self.blocks,
            rates=self.rates,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
