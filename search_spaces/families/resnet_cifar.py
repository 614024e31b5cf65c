"""CIFAR residual networks (He et al. 2016, section 4.2) with one width a channel group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import BasicBlock, ConvNorm, initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.units import Unit, stage_units
from search_spaces.width_space import WidthSpace


class ResNetCifar(nn.Module):
    """A 3 x 3 stem, stages of basic blocks, global average pooling and a linear classifier.

    Args:
        widths: channels of every group: "stage{s}" is the residual stream of a stage (the stem
            feeds stage 0's), "stage{s}.block{b}" the inside of a block.
        blocks: basic blocks of each stage.
        input_shape: (channels, height, width) of one example.
        num_classes: outputs of the classifier.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        blocks: tuple[int, ...],
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(input_shape[0], widths["stage0"], kernel=3)
        self.stages = nn.ModuleList()
        channels = widths["stage0"]
        for s, count in enumerate(blocks):
            stage = nn.ModuleList()
            out = widths[f"stage{s}"]
            for b in range(count):
                resize = s > 0 and b == 0
                mid = widths[f"stage{s}.block{b}"]
                stage.append(
                    BasicBlock(channels, mid, out, stride=2 if resize else 1, project=resize)
                )
                channels = out
            self.stages.append(stage)
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.relu(self.stem(x))
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return one group a residual stream and one a block's inside."""
        builder = GroupBuilder(self)
        stream = "stage0"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for b, block in enumerate(stage):
                if isinstance(block, BasicBlock):
                    declare_basic_block(builder, block, stream, f"stage{s}.block{b}", f"stage{s}")
                    stream = f"stage{s}"
        builder.consumed_by(stream, self.classifier)
        return builder.groups()

    def units(self) -> tuple[Unit, ...]:
        """Return every block; the first of a stage, which may change the stream, has to stay."""
        return stage_units(self.stages, norm="second.norm", residual=True, parts=("",))


def declare_basic_block(
    builder: GroupBuilder, block: BasicBlock, stream: str, mid: str, out: str
) -> None:
    """Say that ``block`` takes in ``stream``, has ``mid`` inside and puts out ``out``."""
    builder.consumed_by(stream, block.first.conv)
    builder.produced_by(mid, block.first.conv, block.first.norm)
    builder.consumed_by(mid, block.second.conv)
    builder.produced_by(out, block.second.conv, block.second.norm)
    if isinstance(block.shortcut, ConvNorm):
        builder.consumed_by(stream, block.shortcut.conv)
        builder.produced_by(out, block.shortcut.conv, block.shortcut.norm)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetCifarSpace(WidthSpace):
    """All widths, from one channel a group to the full configuration, of one CIFAR ResNet."""

    blocks: tuple[int, ...]
    base_width: int = 16

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        widths = {}
        for s, count in enumerate(self.blocks):
            widths[f"stage{s}"] = self.base_width * 2**s
            for b in range(count):
                widths[f"stage{s}.block{b}"] = self.base_width * 2**s
        return widths

    def network(self, widths: Mapping[str, int]) -> ResNetCifar:
        """Build the network with fresh weights from torch's default generator."""
        return ResNetCifar(
            widths,
            blocks=self.blocks,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
