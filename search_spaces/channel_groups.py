"""Channel groups: which tensor axes must be resized together, and how is that done?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from search_spaces.axes.axis_parts import Member, gathered_entries
from search_spaces.axes.layer_groups import changed_layer_groups, layer_groups, set_layer_groups
from search_spaces.axes.size_attributes import SizeAttribute
from search_spaces.errors import SearchSpaceError
from search_spaces.own_networks.plain_layers import own_computation

BatchNorm = nn.modules.batchnorm._BatchNorm
Gating = Literal["norms", "readers"]
Role = Literal["channels", "heads", "head_dim", "mlp", "embedding"]
_ConvTranspose = nn.modules.conv._ConvTransposeNd


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """The (tensor, axis) pairs that must be resized together; residual streams share one group.

    Sizes chosen by machine are a multiple of ``multiple``: a transformer's stream has whole heads.

    Attributes:
        gate: where a factor of 0 on a channel is the same as its removal: on the outputs of the
            group's BatchNorms, or on the entries that read it.
        kept: why no channel can be removed without changing the others (a softmax over channels);
            empty if one can. Such a group may have any width, but keeps the one it trains with.
        normalised: the paths of the modules that normalise over the group's channels (LayerNorm,
            RMSNorm, GroupNorm of one group). A channel is removed by taking its entries out of
            their statistics, and a gate of 0 is the same as its removal only if it does so too.
        attributes: numbers that modules keep of the group's size, and that follow it.
        role: what a channel is: a feature map or unit, an attention head, one place in all heads,
            a hidden unit of a block's perceptron, or a place in the stream of a transformer.

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
    gate: Gating = "norms"
    kept: str = ""
    normalised: tuple[str, ...] = ()
    attributes: tuple[SizeAttribute, ...] = ()
    role: Role = "channels"


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
    parts = member.parts_of(group.name, group.size)
    if actual != member.blocks * sum(part.length for part in parts):
        expected = " + ".join(f"{part.size} x {part.repeat * member.blocks}" for part in parts)
        raise SearchSpaceError(
            f"group {group.name}: {member.tensor} has {actual} entries on axis {member.axis}, "
            f"expected {expected}"
        )


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name (a tensor used twice appears under its first name)."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def frozen_tensors(module: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that are not to be trained; none where all are such."""
    parameters = dict(module.named_parameters())
    frozen = frozenset(n for n, parameter in parameters.items() if not parameter.requires_grad)
    return frozen if len(frozen) < len(parameters) else frozenset()


def frozen_member(group: ChannelGroup, frozen: frozenset[str]) -> str | None:
    """Return the first of ``frozen`` that would change its shape with ``group``."""
    return next((m.tensor for m in group.members if m.tensor in frozen), None)


def is_consumed(module: nn.Module, member: Member) -> bool:
    """Tell whether ``member`` is where a layer takes its channels in, and not where it makes them.

    Unless the member says so itself, it is by the conventions of torch: axis 1 of a weight is the
    layer's input, and axis 0 that of a transposed convolution. Not so an embedding's: its rows are
    words, and its columns what it puts out.
    """
    if member.reads is not None:
        return member.reads
    owner, leaf = _owner(module, member.tensor)
    if isinstance(owner, _ConvTranspose):
        return leaf == "weight" and member.axis == 0 and not _is_depthwise(owner)
    return member.axis == 1 and not isinstance(owner, nn.Embedding)


def _is_depthwise(layer: nn.modules.conv._ConvNd) -> bool:
    return 1 < layer.groups == layer.in_channels


def axes_by_tensor(
    groups: tuple[ChannelGroup, ...],
) -> dict[str, tuple[tuple[int, ChannelGroup, Member], ...]]:
    """Return, for each tensor, its resizable axes as (axis, group, member).

    An axis comes once for every part of it that belongs to one of ``groups``.
    """
    found: dict[str, list[tuple[int, ChannelGroup, Member]]] = {}
    for group in groups:
        for member in group.members:
            found.setdefault(member.tensor, []).append((member.axis, group, member))
    return {name: tuple(axes) for name, axes in found.items()}


def entries_by_axis(
    axes: Iterable[tuple[int, ChannelGroup, Member]], chosen: Mapping[str, Tensor]
) -> dict[int, Tensor]:
    """Return, by axis, which entries of one tensor are left of the ``chosen`` channels.

    Args:
        axes: those of the tensor, as `axes_by_tensor` has them.
        chosen: positions by the names of groups (see `gathered_entries`).
    """
    # Every member of an axis knows all that it holds: the first one says it.
    first = {axis: (group, member) for axis, group, member in reversed(tuple(axes))}
    return {
        axis: gathered_entries(member.parts_of(group.name, group.size), member.blocks, chosen)
        for axis, (group, member) in first.items()
    }


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
            more = sizes.get(group.name, group.size) - group.size
            shape[axis] += more * member.entries_per_channel
        if tuple(shape) != tuple(old.shape):
            changed[name] = old.detach().new_empty(shape)
    set_tensors(module, changed)
    sync_layer_groups(module, groups, sizes)
    sync_attributes(module)


def sync_layer_groups(
    module: nn.Module, groups: Iterable[ChannelGroup], sizes: Mapping[str, int]
) -> None:
    """Give layers with groups of their own as many as ``groups`` of other ``sizes`` leave."""
    changes = [
        (sizes.get(group.name, group.size) - group.size, member)
        for group in groups
        for member in group.members
    ]
    present = layer_groups(module, (member for _, member in changes))
    set_layer_groups(module, changed_layer_groups(present, changes))


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
    """Make every layer's size attributes agree with its tensors after a change of shape.

    So do those that a declared group names (`ChannelGroup.attributes`).
    """
    for layer in module.modules():
        if _weighs_otherwise(layer):
            continue
        if isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
        elif isinstance(layer, nn.modules.conv._ConvNd):
            _sync_convolution(layer)
        elif isinstance(layer, nn.modules.batchnorm._NormBase):
            _sync_norm(layer)
        elif isinstance(layer, (nn.LayerNorm, nn.RMSNorm)) and layer.elementwise_affine:
            layer.normalized_shape = tuple(layer.weight.shape)
        elif isinstance(layer, nn.GroupNorm) and layer.affine:
            layer.num_channels = len(layer.weight)
        elif isinstance(layer, nn.Embedding):
            layer.num_embeddings, layer.embedding_dim = layer.weight.shape
        elif isinstance(layer, nn.RNNBase):
            _sync_recurrent(layer)
        elif isinstance(layer, nn.RNNCellBase):
            layer.input_size = layer.weight_ih.shape[1]
            layer.hidden_size = layer.weight_hh.shape[1]
        elif isinstance(layer, nn.MultiheadAttention) and layer.in_proj_weight is not None:
            _sync_attention(layer)
    if isinstance(module, DeclaresChannelGroups):
        follow_sizes(module, module.channel_groups())


def _weighs_otherwise(layer: nn.Module) -> bool:
    """Tell whether a layer stores no weight of the sizes that it has: it computes or packs it."""
    if not isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding)):
        return False
    held = (layer._parameters.get("weight"), layer._buffers.get("weight"))
    return not any(each is not None and each.is_floating_point() for each in held)


def _sync_convolution(layer: nn.modules.conv._ConvNd) -> None:
    depthwise = _is_depthwise(layer)
    multiplier = layer.out_channels // layer.groups
    transposed = isinstance(layer, _ConvTranspose)
    if depthwise:
        # One group a channel, before and after; the channel multiplier stays.
        layer.groups = len(layer.weight) if transposed else len(layer.weight) // multiplier
    # (out, in / groups, ...), and (in, out / groups, ...) of a transposed convolution.
    first, second = layer.weight.shape[:2]
    if transposed:
        layer.in_channels, layer.out_channels = first, second * layer.groups
    else:
        layer.out_channels, layer.in_channels = first, second * layer.groups


def _sync_norm(layer: nn.modules.batchnorm._NormBase) -> None:
    for tensor in (layer.running_mean, layer.weight):
        if tensor is not None:
            layer.num_features = len(tensor)
            return


def _sync_attention(layer: nn.MultiheadAttention) -> None:
    """Heads keep their size, so that a change of width is one of their number."""
    assert layer.in_proj_weight is not None
    width = layer.in_proj_weight.shape[1]
    layer.embed_dim = layer.kdim = layer.vdim = width
    layer.num_heads = width // layer.head_dim


def _sync_recurrent(layer: nn.RNNBase) -> None:
    layer.input_size = layer.get_parameter("weight_ih_l0").shape[1]
    layer.hidden_size = layer.get_parameter("weight_hh_l0").shape[1]
    # The layer keeps its weights in a list as well, and runs on that.
    layer._init_flat_weights()


def is_plain_norm(layer: nn.Module) -> bool:
    """Tell whether ``layer`` is a BatchNorm that computes as torch's own does, whatever its class.

    Subclasses that do more (an activation behind it) are not, nor are layers with hooks.
    """
    return isinstance(layer, BatchNorm) and not own_computation(layer)


def is_plain_producer(layer: nn.Module) -> bool:
    """Tell whether ``layer`` is a recurrent layer or an embedding that computes as torch's does.

    One with a forward of its own is not, nor is an embedding that changes its rows while it reads
    them or gives some no gradient: with a gate on its output it would be another layer.
    """
    if isinstance(layer, nn.Embedding):
        changes = (layer.padding_idx, layer.max_norm, layer.scale_grad_by_freq, layer.sparse)
        return not any(each not in (None, False) for each in changes) and not own_computation(layer)
    if not isinstance(layer, nn.RNNBase) or own_computation(layer):
        return False
    return layer.num_layers == 1 and not layer.bidirectional and not layer.proj_size


def group_batch_norms(
    module: nn.Module, groups: tuple[ChannelGroup, ...]
) -> Iterator[tuple[str, BatchNorm, ChannelGroup, Member]]:
    """Yield (name, layer, group, member) for every BatchNorm whose channels belong to a group.

    One behind a concatenation comes once for each of its groups.
    """
    owners: dict[str, list[tuple[ChannelGroup, Member]]] = {}
    for group in groups:
        for member in group.members:
            if member.tensor.endswith(".weight"):
                path = member.tensor.removesuffix(".weight")
                owners.setdefault(path, []).append((group, member))
    for name, layer in module.named_modules():
        if isinstance(layer, BatchNorm):
            yield from ((name, layer, *owner) for owner in owners.get(name, ()))


def follow_sizes(module: nn.Module, groups: Iterable[ChannelGroup]) -> None:
    """Set all attributes of ``module`` that follow the sizes of ``groups``, in place.

    Those of layers that went with a unit are set once it is back.
    """
    present = dict(module.named_modules(remove_duplicate=False))
    for group in groups:
        for attribute in group.attributes:
            if hasattr(present.get(attribute.module), attribute.name):
                attribute.follow(module, group.size)
