"""VGG with BatchNorm (Simonyan & Zisserman 2015, table 1) with one width a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks import initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.errors import SearchSpaceError
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

# Convolutions of each stage (table 1, columns A, B, D and E); every stage ends in max pooling.
VGG_STAGES: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_STAGE_WIDTHS = (64, 128, 256, 512, 512)
_POOLED = 2 ** len(_STAGE_WIDTHS)


class VGG(nn.Module):
    """Stages of 3 x 3 convolutions with BatchNorm, then hidden linear layers and a classifier.

    Args:
        widths: channels by group, in order: "stage{s}.conv{c}", then "hidden0", "hidden1", ...
        stages: convolutions of each stage.
        input_shape: (channels, height, width) of one example; 32 x 32 at least.
        num_classes: outputs of the classifier.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        stages: tuple[int, ...],
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        channels, *size = input_shape
        if min(size) < _POOLED:
            raise SearchSpaceError(
                f"VGG halves its images 5 times and needs {_POOLED} x {_POOLED} pixels, "
                f"not {size[0]} x {size[1]}"
            )
        self.stages = stages
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for name, width in widths.items():
            if name.startswith("stage"):
                self.convolutions.append(nn.Conv2d(channels, width, 3, padding=1))
                self.norms.append(nn.BatchNorm2d(width))
                channels = width
        self.positions = (size[0] // _POOLED) * (size[1] // _POOLED)
        features = channels * self.positions
        self.hidden = nn.ModuleList()
        for name, width in widths.items():
            if name.startswith("hidden"):
                self.hidden.append(nn.Linear(features, width))
                features = width
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(features, num_classes)
        initialise(self)
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        index = 0
        for count in self.stages:
            for _ in range(count):
                x = F.relu(self.norms[index](self.convolutions[index](x)))
                index += 1
            x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        for layer in self.hidden:
            x = self.dropout(F.relu(layer(x)))
        logits: Tensor = self.classifier(x)
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return one group a hidden layer."""
        builder = GroupBuilder(self)
        names = [f"stage{s}.conv{c}" for s, count in enumerate(self.stages) for c in range(count)]
        for index, name in enumerate(names):
            if index > 0:
                builder.consumed_by(names[index - 1], self.convolutions[index])
            builder.produced_by(name, self.convolutions[index], self.norms[index])
        feeding, repeat = names[-1], self.positions
        for index, layer in enumerate(self.hidden):
            builder.consumed_by(feeding, layer, repeat=repeat)
            builder.produced_by(f"hidden{index}", layer)
            feeding, repeat = f"hidden{index}", 1
        builder.consumed_by(feeding, self.classifier, repeat=repeat)
        return builder.groups()


@dataclass(frozen=True, slots=True, kw_only=True)
class VGGSpace(WidthSpace):
    """All widths, from one channel a layer to the full configuration, of one VGG.

    ``hidden`` are the widths of linear layers before the classifier: 4096 twice in the ImageNet
    networks, none in those for CIFAR.
    """

    depth: int
    hidden: tuple[int, ...] = ()

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by layer."""
        widths = {}
        for s, count in enumerate(VGG_STAGES[self.depth]):
            for c in range(count):
                widths[f"stage{s}.conv{c}"] = _STAGE_WIDTHS[s]
        return widths | {f"hidden{index}": width for index, width in enumerate(self.hidden)}

    def network(self, widths: Mapping[str, int]) -> VGG:
        """Build the network with fresh weights from torch's default generator."""
        return VGG(
            widths,
            stages=VGG_STAGES[self.depth],
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
