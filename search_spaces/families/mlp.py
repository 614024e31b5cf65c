"""Multi-layer perceptrons: Linear, BatchNorm, ReLU, with one width a hidden layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.blocks import initialise
from search_spaces.channel_groups import ChannelGroup
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace


class DenseBlock(nn.Module):
    """Linear without bias, BatchNorm, ReLU: (N, features_in) to (N, features_out)."""

    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features_in, features_out, bias=False)
        self.norm = nn.BatchNorm1d(features_out)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in order."""
        out: Tensor = self.activation(self.norm(self.linear(x)))
        return out


class MLP(nn.Module):
    """Hidden blocks "hidden0", "hidden1", ... and a linear classifier on flattened inputs."""

    def __init__(self, features_in: int, widths: Mapping[str, int], num_classes: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList()
        features = features_in
        for width in widths.values():
            self.hidden.append(DenseBlock(features, width))
            features = width
        self.classifier = nn.Linear(features, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (N, ...) to logits (N, classes)."""
        x = x.flatten(1)
        for block in self.hidden:
            x = block(x)
        logits: Tensor = self.classifier(x)
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return one group a hidden layer."""
        builder = GroupBuilder(self)
        for index, block in enumerate(self.hidden):
            assert isinstance(block, DenseBlock)
            if index > 0:
                builder.consumed_by(f"hidden{index - 1}", block.linear)
            builder.produced_by(f"hidden{index}", block.linear, block.norm)
        builder.consumed_by(f"hidden{len(self.hidden) - 1}", self.classifier)
        return builder.groups()


@dataclass(frozen=True, slots=True, kw_only=True)
class MLPSpace(WidthSpace):
    """All widths, from one unit a hidden layer to the full configuration, of one MLP."""

    hidden: tuple[int, ...]

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's units by hidden layer."""
        return {f"hidden{index}": width for index, width in enumerate(self.hidden)}

    def network(self, widths: Mapping[str, int]) -> MLP:
        """Build the network with fresh weights from torch's default generator."""
        return MLP(math.prod(self.input_shape), widths, self.num_classes)
