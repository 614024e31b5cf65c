"""Residual networks of any depth: Basic3ResNet and Bottleneck4ResNet, with units to choose.

They are the seeds of Wen et al. 2020 (AutoGrow) and of arXiv 2007.15353, appendix A.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.bottleneck import EXPANSION
from search_spaces.families.resnet_cifar import ResNetCifar
from search_spaces.families.resnet_imagenet import ResNetImageNet
from search_spaces.unit_space import UnitSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicResNetSpace(UnitSpace):
    """CIFAR ResNets of basic blocks with 1 to ``most_units`` blocks a stage, all widths."""

    base_width: int = 16

    def shared_widths(self) -> dict[str, int]:
        """Return the residual streams' channels."""
        return {f"stage{s}": self.base_width * 2**s for s in range(len(self.most_units))}

    def unit_widths(self, stage: int) -> dict[str, int]:
        """Return the channels between the two convolutions of a block."""
        return {"": self.base_width * 2**stage}

    def unit_network(self, counts: tuple[int, ...], widths: Mapping[str, int]) -> ResNetCifar:
        """Build the network of so many blocks a stage with fresh weights."""
        return ResNetCifar(
            widths, blocks=counts, input_shape=self.input_shape, num_classes=self.num_classes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckResNetSpace(UnitSpace):
    """ImageNet ResNets of bottlenecks with 1 to ``most_units`` blocks a stage, all widths."""

    base_width: int = 64

    def shared_widths(self) -> dict[str, int]:
        """Return the channels of the stem and of the residual streams."""
        streams = {
            f"stage{s}": self.base_width * 2**s * EXPANSION for s in range(len(self.most_units))
        }
        return {"stem": self.base_width, **streams}

    def unit_widths(self, stage: int) -> dict[str, int]:
        """Return the channels on both sides of a block's 3 x 3 convolution."""
        return dict.fromkeys((".reduce", ".spatial"), self.base_width * 2**stage)

    def unit_network(self, counts: tuple[int, ...], widths: Mapping[str, int]) -> ResNetImageNet:
        """Build the network of so many blocks a stage with fresh weights."""
        return ResNetImageNet(
            widths,
            blocks=counts,
            bottleneck=True,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
