"""Builder of channel groups: how a network of ours declares which of its layers share channels."""

from __future__ import annotations

from torch import nn

from search_spaces.axes.axis_parts import Member
from search_spaces.channel_groups import BatchNorm, ChannelGroup
from search_spaces.errors import SearchSpaceError

_Conv = nn.modules.conv._ConvNd


class GroupBuilder:
    """Collects the members of every channel group while a network walks over its layers."""

    def __init__(self, module: nn.Module) -> None:
        self._names = {layer: name for name, layer in module.named_modules()}
        self._members: dict[str, list[Member]] = {}
        self._sizes: dict[str, int] = {}

    def produced_by(self, group: str, *layers: nn.Module) -> None:
        """Say that ``layers`` put out the channels of ``group``."""
        for layer in layers:
            self._set_size(group, _width(layer))
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                if getattr(layer, leaf, None) is not None:
                    turned = leaf == "weight" and _puts_out_on_axis_1(layer)
                    self._add(group, layer, leaf, axis=1 if turned else 0)

    def consumed_by(self, group: str, layer: nn.Module, *, repeat: int = 1) -> None:
        """Say that ``layer`` takes in the channels of ``group``, ``repeat`` entries a channel."""
        if isinstance(layer, _Conv) and layer.groups > 1:
            raise SearchSpaceError("a depthwise layer follows its group: name it in produced_by")
        leaf = "weight_ih_l0" if isinstance(layer, nn.RNNBase) else "weight"
        self._add(group, layer, leaf, axis=0 if _puts_out_on_axis_1(layer) else 1, repeat=repeat)

    def embedded(self, group: str, layer: nn.Embedding) -> None:
        """Say that the entries of ``layer``'s vectors are the channels of ``group``."""
        self._set_size(group, layer.embedding_dim)
        self._add(group, layer, "weight", axis=1)

    def recurrent(self, group: str, layer: nn.RNNBase) -> None:
        """Say that the hidden units of ``layer`` are the channels of ``group``.

        All gates of a unit go together (arXiv 2007.15353, Eq. 9), and the unit's own columns in
        the recurrent weights with them.

        Raises:
            SearchSpaceError: for a stack of layers, two directions or a projection.
        """
        if layer.num_layers > 1 or layer.bidirectional or layer.proj_size:
            raise SearchSpaceError(
                "a group holds one recurrent layer of one direction without projection"
            )
        self._set_size(group, layer.hidden_size)
        gates = layer.get_parameter("weight_hh_l0").shape[0] // layer.hidden_size
        for leaf, _ in layer.named_parameters(recurse=False):
            self._add(group, layer, leaf, axis=0, blocks=gates)
        self._add(group, layer, "weight_hh_l0", axis=1)

    def _add(
        self,
        group: str,
        layer: nn.Module,
        leaf: str,
        *,
        axis: int,
        repeat: int = 1,
        blocks: int = 1,
    ) -> None:
        name = f"{self._names[layer]}.{leaf}"
        member = Member(tensor=name, axis=axis, repeat=repeat, blocks=blocks)
        self._members.setdefault(group, []).append(member)

    def _set_size(self, group: str, size: int) -> None:
        if self._sizes.setdefault(group, size) != size:
            raise SearchSpaceError(f"group {group}: producers of {self._sizes[group]} and {size}")

    def groups(self) -> tuple[ChannelGroup, ...]:
        """Return what was declared, in the order of the first mention."""
        return tuple(
            ChannelGroup(name=name, size=self._sizes[name], members=tuple(members))
            for name, members in self._members.items()
        )


def _puts_out_on_axis_1(layer: nn.Module) -> bool:
    """Tell whether the weight is (in, out, ...), as a transposed convolution's is."""
    return isinstance(layer, nn.modules.conv._ConvTransposeNd) and layer.groups == 1


def _width(layer: nn.Module) -> int:
    if isinstance(layer, _Conv):
        return layer.out_channels
    if isinstance(layer, nn.Linear):
        return layer.out_features
    if isinstance(layer, BatchNorm):
        return layer.num_features
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape[-1]
    raise SearchSpaceError(f"{type(layer).__name__} has no channels that a group could hold")
