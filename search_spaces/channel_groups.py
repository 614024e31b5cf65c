"""Channel groups: which tensor axes must be resized together, and how is that done?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from search_spaces.errors import SearchSpaceError

BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One axis of one parameter or buffer that follows a channel group.

    The axis holds ``blocks`` copies of the group one after another (the gates of an LSTM), and in
    each of them ``repeat`` consecutive entries belong to each channel (flattened feature maps).

    Example:
        >>> import torch
        >>> from search_spaces import Member
        >>> flattened = Member(tensor="classifier.weight", axis=1, repeat=4)
        >>> flattened.entries(torch.tensor([0, 2]), size=3).tolist()
        [0, 1, 2, 3, 8, 9, 10, 11]
    """

    tensor: str
    axis: int
    repeat: int = 1
    blocks: int = 1

    @property
    def entries_per_channel(self) -> int:
        """How many entries of the axis belong to one channel."""
        return self.blocks * self.repeat

    def entries(self, channels: Tensor, size: int) -> Tensor:
        """Return the positions on the axis of ``channels`` (n,), block by block.

        Args:
            channels: positions in a group that has ``size`` channels.
            size: channels of the group in the tensor that the positions are for.

        Returns:
            (blocks * n * repeat,), in the order in which a group of these channels alone has them.
        """
        within = (channels.unsqueeze(1) * self.repeat + torch.arange(self.repeat)).flatten()
        starts = torch.arange(self.blocks).unsqueeze(1) * (size * self.repeat)
        return (starts + within).flatten()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """The (tensor, axis) pairs that must be resized together; residual streams share one group.

    Sizes chosen by machine are a multiple of ``multiple``: a transformer's stream has whole heads.

    Example:
        >>> from torch import nn
        >>> from search_spaces import ChannelGroup, Member, channel_groups
        >>> class Net(nn.Sequential):
        ...     def channel_groups(self):
        ...         made = Member(tensor="0.weight", axis=0), Member(tensor="0.bias", axis=0)
        ...         read = Member(tensor="1.weight", axis=1)
        ...         size = self[0].out_features
        ...         return (ChannelGroup(name="hidden", size=size, members=(*made, read)),)
        >>> [(g.name, g.size) for g in channel_groups(Net(nn.Linear(8, 4), nn.Linear(4, 2)))]
        [('hidden', 4)]
    """

    name: str
    size: int
    members: tuple[Member, ...]
    multiple: int = 1


@runtime_checkable
class DeclaresChannelGroups(Protocol):
    """A module that knows its own channel groups."""

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the groups with their present sizes."""
        ...


def channel_groups(module: nn.Module) -> tuple[ChannelGroup, ...]:
    """Return the groups that ``module`` declares, checked against its tensors.

    Raises:
        SearchSpaceError: if it declares none, or a declaration does not fit its tensors.

    Example:
        >>> from search_spaces import channel_groups, search_space
        >>> space = search_space("mlp-digits")
        >>> [(g.name, g.size) for g in channel_groups(space.build(space.largest()))]
        [('hidden0', 256), ('hidden1', 256)]
    """
    if not isinstance(module, DeclaresChannelGroups):
        raise SearchSpaceError(
            f"{type(module).__name__} does not declare its channel groups; "
            "give it a method channel_groups() -> tuple[ChannelGroup, ...]"
        )
    groups = module.channel_groups()
    tensors = named_tensors(module)
    for group in groups:
        for member in group.members:
            _check_member(group, member, tensors)
    return groups


def _check_member(group: ChannelGroup, member: Member, tensors: Mapping[str, Tensor]) -> None:
    if member.tensor not in tensors:
        raise SearchSpaceError(f"group {group.name}: no tensor {member.tensor!r} in the module")
    actual = tensors[member.tensor].shape[member.axis]
    if actual != group.size * member.entries_per_channel:
        raise SearchSpaceError(
            f"group {group.name}: {member.tensor} has {actual} entries on axis {member.axis}, "
            f"expected {group.size} x {member.entries_per_channel}"
        )


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name (a tensor used twice appears under its first name)."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def is_consumed(module: nn.Module, member: Member) -> bool:
    """Tell whether ``member`` is where a layer takes its channels in, and not where it makes them.

    By the conventions of torch axis 1 of a weight is the layer's input. Not so an embedding's: its
    rows are words, and its columns what it puts out.
    """
    owner, _ = _owner(module, member.tensor)
    return member.axis == 1 and not isinstance(owner, nn.Embedding)


def axes_by_tensor(
    groups: tuple[ChannelGroup, ...],
) -> dict[str, tuple[tuple[int, ChannelGroup, Member], ...]]:
    """Return, for each tensor, its resizable axes as (axis, group, member)."""
    found: dict[str, list[tuple[int, ChannelGroup, Member]]] = {}
    for group in groups:
        for member in group.members:
            found.setdefault(member.tensor, []).append((member.axis, group, member))
    return {name: tuple(axes) for name, axes in found.items()}


def resize(module: nn.Module, sizes: Mapping[str, int]) -> None:
    """Give ``module``'s groups new sizes in place, with uninitialised tensors.

    Only shapes and layer attributes change here; the caller fills in every value (a fresh
    initialisation, or gathered weights). Groups that are not named keep their size.

    Raises:
        SearchSpaceError: for an unknown group or a size below 1.

    Example:
        >>> import torch
        >>> from search_spaces import resize, search_space
        >>> space = search_space("mlp-digits")
        >>> module = space.build(space.largest())
        >>> resize(module, {"hidden0": 16})
        >>> module.hidden[0].linear.weight.shape, module.hidden[1].linear.weight.shape
        (torch.Size([16, 64]), torch.Size([256, 16]))
    """
    groups = channel_groups(module)
    unknown = set(sizes) - {group.name for group in groups}
    if unknown:
        known = ", ".join(group.name for group in groups)
        raise SearchSpaceError(f"unknown channel group {sorted(unknown)[0]!r}; known: {known}")
    for name, size in sizes.items():
        if size < 1:
            raise SearchSpaceError(f"group {name}: size {size} is below 1")
    changed = {}
    for name, axes in axes_by_tensor(groups).items():
        old = _tensor(module, name)
        shape = list(old.shape)
        for axis, group, member in axes:
            shape[axis] = sizes.get(group.name, group.size) * member.entries_per_channel
        if tuple(shape) != tuple(old.shape):
            changed[name] = old.detach().new_empty(shape)
    set_tensors(module, changed)
    sync_attributes(module)


def reinitialise(module: nn.Module) -> None:
    """Draw fresh values with every layer's own ``reset_parameters``."""
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf


def _tensor(module: nn.Module, name: str) -> Tensor:
    owner, leaf = _owner(module, name)
    tensor = getattr(owner, leaf)
    assert isinstance(tensor, Tensor)
    return tensor


def set_tensors(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put ``values`` in the places of the parameters and buffers of these names, in any shape.

    Layers that share a parameter go on sharing it (tied embeddings).
    """
    holders: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for layer in module.modules():
        for key, parameter in layer._parameters.items():
            if parameter is not None:
                holders.setdefault(parameter, []).append((layer, key))
    for name, value in values.items():
        owner, leaf = _owner(module, name)
        old = owner._parameters.get(leaf)
        if old is None:
            owner._buffers[leaf] = value
            continue
        new = nn.Parameter(value, requires_grad=old.requires_grad)
        for layer, key in holders[old]:
            layer._parameters[key] = new


def sync_attributes(module: nn.Module) -> None:
    """Make every layer's size attributes agree with its tensors after a change of shape."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
        elif isinstance(layer, nn.modules.conv._ConvNd):
            _sync_convolution(layer)
        elif isinstance(layer, BatchNorm) and layer.running_mean is not None:
            layer.num_features = layer.running_mean.shape[0]
        elif isinstance(layer, nn.LayerNorm) and layer.elementwise_affine:
            layer.normalized_shape = tuple(layer.weight.shape)
        elif isinstance(layer, nn.Embedding):
            layer.num_embeddings, layer.embedding_dim = layer.weight.shape
        elif isinstance(layer, nn.RNNBase):
            _sync_recurrent(layer)


def _sync_convolution(layer: nn.modules.conv._ConvNd) -> None:
    depthwise = layer.groups == layer.in_channels and layer.groups > 1
    multiplier = layer.out_channels // layer.groups
    layer.out_channels = layer.weight.shape[0]
    if depthwise:
        # One group a channel, before and after; the channel multiplier stays.
        layer.groups = layer.out_channels // multiplier
    layer.in_channels = layer.weight.shape[1] * layer.groups


def _sync_recurrent(layer: nn.RNNBase) -> None:
    layer.input_size = layer.get_parameter("weight_ih_l0").shape[1]
    layer.hidden_size = layer.get_parameter("weight_hh_l0").shape[1]
    # The layer keeps its weights in a list as well, and runs on that.
    layer._init_flat_weights()


def group_batch_norms(
    module: nn.Module, groups: tuple[ChannelGroup, ...]
) -> Iterator[tuple[str, BatchNorm, ChannelGroup]]:
    """Yield (name, layer, group) for every BatchNorm whose channels belong to a group."""
    owner_of = {
        member.tensor.removesuffix(".weight"): group
        for group in groups
        for member in group.members
        if member.tensor.endswith(".weight")
    }
    for name, layer in module.named_modules():
        if isinstance(layer, BatchNorm) and name in owner_of:
            yield name, layer, owner_of[name]
