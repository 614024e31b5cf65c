"""ImageNet residual networks (He et al. 2016, table 1) with one width a channel group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import BasicBlock, ConvNorm, initialise
from search_spaces.bottleneck import EXPANSION, Bottleneck, declare_bottleneck
from search_spaces.channel_groups import ChannelGroup
from search_spaces.families.resnet_cifar import declare_basic_block
from search_spaces.group_builder import GroupBuilder
from search_spaces.units import Unit, stage_units
from search_spaces.width_space import WidthSpace


class ResNetImageNet(nn.Module):
    """A 7 x 7 stem with max pooling, four stages of blocks, average pooling and a classifier.

    Args:
        widths: channels by group. "stage{s}" is the residual stream of a stage. Basic blocks have
            "stage{s}.block{b}" inside, and the stem feeds stage 0's stream. Bottlenecks have
            "stage{s}.block{b}.reduce" and ".spatial" inside, and the stem is a group "stem".
        blocks: blocks of each stage.
        bottleneck: 1 x 1, 3 x 3, 1 x 1 blocks instead of two 3 x 3.
        input_shape: (channels, height, width) of one example.
        num_classes: outputs of the classifier.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        blocks: tuple[int, ...],
        bottleneck: bool,
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        channels = widths["stem"] if bottleneck else widths["stage0"]
        self.stem = ConvNorm(input_shape[0], channels, kernel=7, stride=2)
        self.stages = nn.ModuleList()
        for s, count in enumerate(blocks):
            stage = nn.ModuleList()
            for b in range(count):
                stage.append(_block(widths, channels, (s, b), bottleneck=bottleneck))
                channels = widths[f"stage{s}"]
            self.stages.append(stage)
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.max_pool2d(F.relu(self.stem(x)), 3, stride=2, padding=1)
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return one group a residual stream and the groups inside every block."""
        builder = GroupBuilder(self)
        first = self.stages[0]
        assert isinstance(first, nn.ModuleList)
        stream = "stage0" if isinstance(first[0], BasicBlock) else "stem"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for b, block in enumerate(stage):
                inner = f"stage{s}.block{b}"
                if isinstance(block, BasicBlock):
                    declare_basic_block(builder, block, stream, inner, f"stage{s}")
                    stream = f"stage{s}"
                elif isinstance(block, Bottleneck):
                    declare_bottleneck(builder, block, stream, inner, f"stage{s}")
                    stream = f"stage{s}"
        builder.consumed_by(stream, self.classifier)
        return builder.groups()

    def units(self) -> tuple[Unit, ...]:
        """Return every block; the first of a stage, which may change the stream, has to stay."""
        if any(isinstance(layer, Bottleneck) for layer in self.modules()):
            parts = (".reduce", ".spatial")
            return stage_units(self.stages, norm="expand.norm", residual=True, parts=parts)
        return stage_units(self.stages, norm="second.norm", residual=True, parts=("",))


def _block(
    widths: Mapping[str, int], channels: int, place: tuple[int, int], *, bottleneck: bool
) -> nn.Module:
    s, b = place
    stride = 2 if s > 0 and b == 0 else 1
    out = widths[f"stage{s}"]
    if not bottleneck:
        mid = widths[f"stage{s}.block{b}"]
        return BasicBlock(channels, mid, out, stride=stride, project=s > 0 and b == 0)
    inner = widths[f"stage{s}.block{b}.reduce"], widths[f"stage{s}.block{b}.spatial"]
    return Bottleneck(channels, inner, out, stride=stride, project=b == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetImageNetSpace(WidthSpace):
    """All widths, from one channel a group to the full configuration, of one ImageNet ResNet.

    ``inner_factor`` widens the inside of bottlenecks (2 for Wide ResNet-50-2).
    """

    blocks: tuple[int, ...]
    bottleneck: bool = False
    inner_factor: int = 1
    base_width: int = 64

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        if not self.bottleneck:
            return self._basic_widths()
        widths = {"stem": self.base_width}
        for s, count in enumerate(self.blocks):
            planes = self.base_width * 2**s
            widths[f"stage{s}"] = planes * EXPANSION
            for b in range(count):
                for part in ("reduce", "spatial"):
                    widths[f"stage{s}.block{b}.{part}"] = planes * self.inner_factor
        return widths

    def _basic_widths(self) -> dict[str, int]:
        widths = {}
        for s, count in enumerate(self.blocks):
            for name in (f"stage{s}", *(f"stage{s}.block{b}" for b in range(count))):
                widths[name] = self.base_width * 2**s
        return widths

    def network(self, widths: Mapping[str, int]) -> ResNetImageNet:
        """Build the network with fresh weights from torch's default generator."""
        return ResNetImageNet(
            widths,
            blocks=self.blocks,
            bottleneck=self.bottleneck,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
