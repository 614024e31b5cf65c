"""Layer sizes: what layers keep of their own width, when the tensors under them have changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeGuard

from torch import nn

from search_spaces import ChannelGroup
from search_spaces.axes.layer_groups import changed_layer_groups, layer_groups, set_layer_groups
from search_spaces.channel_groups import sync_attributes


class LayerSizes:
    """Makes the layers of a network agree with their tensors, whatever runs of it.

    Args:
        module: at full width: only there it is known what a layer of one channel is.
        groups: of the module.
    """

    def __init__(self, module: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
        self._members = [(group, member) for group in groups for member in group.members]
        self._layer_groups = layer_groups(module, (member for _, member in self._members))
        # By layer: how many channels it puts out for one that it takes in.
        self._depthwise = {
            name: m.out_channels // m.groups
            for name, m in module.named_modules()
            if _is_depthwise(m)
        }

    def sync(
        self, module: nn.Module, widths: Mapping[str, int], runs: Callable[[str], bool]
    ) -> None:
        """Give the layers of ``module`` the sizes of their tensors, in place.

        Args:
            module: with tensors of the ``widths``.
            widths: channels by the names of groups.
            runs: whether a tensor, by name, is there; it may lie in a unit that is detached.
        """
        changes = [(widths[group.name] - group.size, member) for group, member in self._members]
        counts = changed_layer_groups(self._layer_groups, changes)
        set_layer_groups(module, {p: n for p, n in counts.items() if runs(f"{p}.weight")})
        sync_attributes(module)
        for name, multiplier in self._depthwise.items():
            if not runs(f"{name}.weight"):
                continue
            # Of one channel, such a layer looks like any other: only here is it known what it is.
            layer = module.get_submodule(name)
            assert isinstance(layer, nn.modules.conv._ConvNd)
            entries = len(layer.weight)
            transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
            layer.groups = layer.in_channels = entries if transposed else entries // multiplier
            layer.out_channels = layer.in_channels * multiplier


def _is_depthwise(layer: nn.Module) -> TypeGuard[nn.modules.conv._ConvNd]:
    return isinstance(layer, nn.modules.conv._ConvNd) and 1 < layer.groups == layer.in_channels
