"""MobileNetV2 (Sandler et al. 2018, table 2) with one width a channel group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import ConvNorm, initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

Activation = Callable[[Tensor], Tensor]

# (expansion t, channels c, repeats n) of each stage.
_STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
_STEM, _HEAD = 32, 1280
IMAGENET_STRIDES = (2, 1, 2, 2, 2, 1, 2, 1)
CIFAR_STRIDES = (1, 1, 1, 2, 2, 1, 2, 1)


class DepthwiseNorm(nn.Module):
    """A 3 x 3 convolution of every channel by itself, then BatchNorm."""

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution, then BatchNorm."""
        out: Tensor = self.norm(self.conv(x))
        return out


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; the input is added where shapes agree (figure 3b).

    ``hidden`` None leaves out the expansion: the depthwise convolution works on the input.
    """

    def __init__(
        self,
        channels_in: int,
        hidden: int | None,
        channels_out: int,
        *,
        stride: int,
        residual: bool,
        activation: Activation = F.relu6,
    ) -> None:
        super().__init__()
        self.expand = None if hidden is None else ConvNorm(channels_in, hidden, kernel=1)
        self.depthwise = DepthwiseNorm(hidden or channels_in, stride=stride)
        self.project = ConvNorm(hidden or channels_in, channels_out, kernel=1)
        self.residual = residual
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, H / stride, W / stride)."""
        inner = x if self.expand is None else self.activation(self.expand(x))
        out: Tensor = self.project(self.activation(self.depthwise(inner)))
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """A 3 x 3 stem, stages of inverted residuals, a 1 x 1 head, pooling and a classifier.

    Args:
        widths: channels by group: "stem", "head", "stage{s}" for the stream a stage puts out,
            "stage{s}.block{b}" for the expanded inside of a block (none in stage 0).
        strides: of the stem, then of the first block of each stage.
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
        self.stages = nn.ModuleList()
        for s, (_, _, repeats) in enumerate(_STAGES):
            stage, out = nn.ModuleList(), widths[f"stage{s}"]
            for b in range(repeats):
                hidden = widths.get(f"stage{s}.block{b}")
                stride = strides[s + 1] if b == 0 else 1
                stage.append(InvertedResidual(channels, hidden, out, stride=stride, residual=b > 0))
                channels = out
            self.stages.append(stage)
        self.head = ConvNorm(channels, widths["head"], kernel=1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(widths["head"], num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.relu6(self.stem(x))
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
        x = F.relu6(self.head(x)).mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.dropout(x))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the stem, every stage's stream, every block's inside and the head."""
        builder = GroupBuilder(self)
        stream = "stem"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for b, block in enumerate(stage):
                assert isinstance(block, InvertedResidual)
                declare_inverted_residual(builder, block, stream, f"stage{s}.block{b}", f"stage{s}")
                stream = f"stage{s}"
        builder.consumed_by(stream, self.head.conv)
        builder.produced_by("head", self.head.conv, self.head.norm)
        builder.consumed_by("head", self.classifier)
        return builder.groups()


def declare_inverted_residual(
    builder: GroupBuilder, block: InvertedResidual, stream: str, inner: str, out: str
) -> None:
    """Say that ``block`` takes in ``stream``, has ``inner`` inside and puts out ``out``."""
    if block.expand is None:
        inner = stream
    else:
        builder.consumed_by(stream, block.expand.conv)
        builder.produced_by(inner, block.expand.conv, block.expand.norm)
    builder.produced_by(inner, block.depthwise.conv, block.depthwise.norm)
    builder.consumed_by(inner, block.project.conv)
    builder.produced_by(out, block.project.conv, block.project.norm)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV2Space(WidthSpace):
    """All widths, from one channel a group to the full configuration, of MobileNetV2."""

    strides: tuple[int, ...] = IMAGENET_STRIDES

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        widths, channels = {"stem": _STEM}, _STEM
        for s, (expansion, out, repeats) in enumerate(_STAGES):
            for b in range(repeats):
                if expansion > 1:
                    widths[f"stage{s}.block{b}"] = channels * expansion
                channels = out
            widths[f"stage{s}"] = out
        return widths | {"head": _HEAD}

    def network(self, widths: Mapping[str, int]) -> MobileNetV2:
        """Build the network with fresh weights from torch's default generator."""
        return MobileNetV2(
            widths,
            strides=self.strides,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
