"""Wide residual networks (Zagoruyko & Komodakis 2016, table 1) with one width a channel group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import every, initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

_STEM = 16


class PreActivationBlock(nn.Module):
    """BatchNorm, ReLU and a 3 x 3 convolution, twice, and a shortcut (He et al. 2016b, figure 1b).

    Where the stream changes, the shortcut is a 1 x 1 convolution of the first ReLU's output, else
    the identity on the block's input.
    """

    def __init__(
        self, channels_in: int, channels_mid: int, channels_out: int, *, stride: int, project: bool
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_mid, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_mid)
        self.conv2 = nn.Conv2d(channels_mid, channels_out, 3, padding=1, bias=False)
        self.step = stride
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False) if project else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, H / stride, W / stride)."""
        active = F.relu(self.norm1(x))
        stream = x if self.shortcut is None else self.shortcut(every(active, self.step))
        out: Tensor = stream + self.conv2(F.relu(self.norm2(self.conv1(active))))
        return out


class WideResNet(nn.Module):
    """A 3 x 3 stem, three stages of pre-activation blocks, BatchNorm, pooling and a classifier.

    Whatever reads a stream reads it behind a BatchNorm, so that its channels can be gated there.

    Args:
        widths: channels by group: "stem", "stage{s}" for a stage's stream, "stage{s}.block{b}" for
            the inside of a block.
        blocks: blocks of each stage.
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
        channels = widths["stem"]
        self.stem = nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        for s, count in enumerate(blocks):
            stage, out = nn.ModuleList(), widths[f"stage{s}"]
            for b in range(count):
                mid, stride = widths[f"stage{s}.block{b}"], 2 if s > 0 and b == 0 else 1
                stage.append(PreActivationBlock(channels, mid, out, stride=stride, project=b == 0))
                channels = out
            self.stages.append(stage)
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = self.stem(x)
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        logits: Tensor = self.classifier(F.relu(self.norm(x)).mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the stem, one group a residual stream and one a block's inside.

        The BatchNorms that read a stream belong to it.
        """
        builder = GroupBuilder(self)
        stream = "stem"
        builder.produced_by(stream, self.stem)
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for b, block in enumerate(stage):
                assert isinstance(block, PreActivationBlock)
                _declare(builder, block, stream, f"stage{s}.block{b}", f"stage{s}")
                stream = f"stage{s}"
        builder.produced_by(stream, self.norm)
        builder.consumed_by(stream, self.classifier)
        return builder.groups()


def _declare(
    builder: GroupBuilder, block: PreActivationBlock, stream: str, mid: str, out: str
) -> None:
    builder.produced_by(stream, block.norm1)
    builder.consumed_by(stream, block.conv1)
    builder.produced_by(mid, block.conv1, block.norm2)
    builder.consumed_by(mid, block.conv2)
    builder.produced_by(out, block.conv2)
    if block.shortcut is not None:
        builder.consumed_by(stream, block.shortcut)
        builder.produced_by(out, block.shortcut)


@dataclass(frozen=True, slots=True, kw_only=True)
class WideResNetSpace(WidthSpace):
    """All widths, from one channel a group to the full configuration, of WRN-(6n + 4)-k.

    ``blocks`` is n for every stage, ``factor`` is k.
    """

    blocks: tuple[int, ...] = (4, 4, 4)
    factor: int = 10

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        widths = {"stem": _STEM}
        for s, count in enumerate(self.blocks):
            for name in (f"stage{s}", *(f"stage{s}.block{b}" for b in range(count))):
                widths[name] = _STEM * self.factor * 2**s
        return widths

    def network(self, widths: Mapping[str, int]) -> WideResNet:
        """Build the network with fresh weights from torch's default generator."""
        return WideResNet(
            widths,
            blocks=self.blocks,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
