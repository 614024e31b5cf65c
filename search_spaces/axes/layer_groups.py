"""Layer groups: how many groups grouped convolutions and GroupNorms have at other widths.

Where a channel is one or more whole groups of such a layer, their number follows the channels, and
what each of them takes in and puts out stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from search_spaces.axes.axis_parts import Member

_Convolution = nn.modules.conv._ConvNd


def layer_groups(module: nn.Module, members: Iterable[Member]) -> dict[str, int]:
    """Return, by path, the present number of groups of each layer that has some a channel."""
    return {
        path: _count(module.get_submodule(path))
        for path in dict.fromkeys(_path(member) for member in members if member.layer_groups)
    }


def changed_layer_groups(
    present: Mapping[str, int], changes: Iterable[tuple[int, Member]]
) -> dict[str, int]:
    """Return what `layer_groups` are once so many channels have come to each of some members."""
    counts = dict(present)
    for more, member in changes:
        if member.layer_groups:
            counts[_path(member)] += more * member.layer_groups
    return counts


def set_layer_groups(module: nn.Module, counts: Mapping[str, int]) -> None:
    """Give layers these numbers of groups, by path."""
    for path, count in counts.items():
        layer = module.get_submodule(path)
        if isinstance(layer, nn.GroupNorm):
            layer.num_groups = count
        else:
            assert isinstance(layer, _Convolution)
            layer.in_channels = layer.in_channels // layer.groups * count
            layer.groups = count


def is_in_groups(layer: nn.Module) -> bool:
    """Tell whether ``layer`` knows a number of its own groups."""
    return isinstance(layer, (nn.GroupNorm, _Convolution))


def _path(member: Member) -> str:
    return member.tensor.rpartition(".")[0]


def _count(layer: nn.Module) -> int:
    if isinstance(layer, nn.GroupNorm):
        return layer.num_groups
    assert isinstance(layer, _Convolution)
    return layer.groups
