"""Plain networks of any depth, without shortcuts: Plain3Net and Plain4Net, with units to choose.

They are the seeds of Wen et al. 2020 (AutoGrow) and of arXiv 2007.15353, appendix A.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import ConvNorm, initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.unit_space import UnitSpace
from search_spaces.units import Unit, stage_units


class ConvUnit(ConvNorm):
    """A 3 x 3 convolution, BatchNorm and ReLU: (N, C, H, W) to (N, C', H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__(channels_in, channels_out, kernel=3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in order."""
        return F.relu(super().forward(x))


class PlainNet(nn.Module):
    """A stem, stages of convolutions, global average pooling and a linear classifier.

    The first unit of every stage but the first halves the resolution. All units of a stage have
    the same channels, so that the network works without any of the others.

    Args:
        widths: channels by group: "stem", then "stage{s}".
        counts: units of each stage.
        large_images: a 7 x 7 stem of stride 2 with max pooling, instead of a 3 x 3 one.
        input_shape: (channels, height, width) of one example.
        num_classes: outputs of the classifier.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        counts: tuple[int, ...],
        large_images: bool,
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.large_images = large_images
        channels = widths["stem"]
        kernel, stride = (7, 2) if large_images else (3, 1)
        self.stem = ConvNorm(input_shape[0], channels, kernel=kernel, stride=stride)
        self.stages = nn.ModuleList()
        for s, count in enumerate(counts):
            stage = nn.ModuleList()
            for b in range(count):
                halves = s > 0 and b == 0
                stage.append(ConvUnit(channels, widths[f"stage{s}"], stride=2 if halves else 1))
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
            for unit in stage:
                x = unit(x)
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the stem and one group a stage."""
        builder = GroupBuilder(self)
        stream = "stem"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for unit in stage:
                if isinstance(unit, ConvUnit):
                    builder.consumed_by(stream, unit.conv)
                    stream = f"stage{s}"
                    builder.produced_by(stream, unit.conv, unit.norm)
        builder.consumed_by(stream, self.classifier)
        return builder.groups()

    def units(self) -> tuple[Unit, ...]:
        """Return every convolution behind the stem."""
        return stage_units(self.stages, norm="norm", residual=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainNetSpace(UnitSpace):
    """Plain networks with 1 to ``most_units`` convolutions a stage, all widths."""

    large_images: bool = False
    base_width: int = 16

    def shared_widths(self) -> dict[str, int]:
        """Return the channels of the stem and of every stage."""
        stages = {f"stage{s}": self.base_width * 2**s for s in range(len(self.most_units))}
        return {"stem": self.base_width, **stages}

    def unit_widths(self, stage: int) -> dict[str, int]:  # noqa: ARG002
        """Return nothing: a unit has no channels of its own."""
        return {}

    def unit_network(self, counts: tuple[int, ...], widths: Mapping[str, int]) -> PlainNet:
        """Build the network of so many units a stage with fresh weights."""
        return PlainNet(
            widths,
            counts=counts,
            large_images=self.large_images,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
