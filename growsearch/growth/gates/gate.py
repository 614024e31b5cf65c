"""Gate of a channel: an indicator scales what BatchNorm or the layer itself puts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import ChannelGroup, Member
from search_spaces.axes.axis_parts import Part
from search_spaces.channel_groups import BatchNorm, sync_attributes

_Layer = TypeVar("_Layer", bound=nn.Module)


class Gate:
    """The gates of one group's live channels, shared by every BatchNorm of the group.

    ``value`` (channels,) is a leaf, or a view of one: backward leaves the task gradient of the
    gates in the leaf's grad, summed over all layers of the group. It is no parameter, so optimizers
    never see it.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value.detach().clone().requires_grad_()

    def __deepcopy__(self, memo: dict[int, Any]) -> Gate:
        """Return a gate of the same value with a leaf of its own: views cannot be copied."""
        twin = memo[id(self)] = Gate(self.value)
        return twin

    def read(self) -> Tensor:
        """Return the gates (channels,)."""
        return self.value

    def set(self, value: Tensor) -> None:
        """Put in new gates (channels,), without a gradient."""
        self.value = value.detach().clone().requires_grad_()


_ALL: Mapping[str, Tensor] = {}


class AxisFactor:
    """Factors on the entries of an axis: the gates of those groups whose channels it holds.

    Entries of other groups, and of none, have a factor of 1. The sizes are those of the gates at
    every call, so that channels may come and go in between.

    Args:
        owners: group and member for every part of the axis that is to be gated.
        gates: by the names of groups, also of those that share the axis and are gated elsewhere.
    """

    def __init__(
        self, owners: Sequence[tuple[ChannelGroup, Member]], gates: Mapping[str, Gate]
    ) -> None:
        (group, member), *_ = owners
        acting = {owner.name for owner, _ in owners}
        self._blocks = member.blocks
        self._parts = [
            (part, gates.get(part.group), part.group in acting)
            for part in member.parts_of(group.name, group.size)
        ]
        self._any = gates[group.name]

    def __call__(self, heard: Mapping[str, Tensor] = _ALL) -> Tensor:
        """Return the factors (entries of the axis,), 0 for channels that are not ``heard``.

        Args:
            heard: masks (channels,) by the names of groups; without one all of them are.
        """
        block = [self._of(*each, heard) for each in self._parts]
        factor = block[0] if len(block) == 1 else torch.cat(block)
        return factor if self._blocks == 1 else factor.repeat(self._blocks)

    def _of(self, part: Part, gate: Gate | None, acts: bool, heard: Mapping[str, Tensor]) -> Tensor:
        if gate is None:
            return self._any.value.new_ones(part.length)
        value = gate.value if acts else torch.ones_like(gate.value, requires_grad=False)
        if acts and part.group in heard:
            value = value * heard[part.group].to(value)
        return value if part.repeat == 1 else value.repeat_interleave(part.repeat)


class GatedBatchNorm(BatchNorm):
    """BatchNorm whose output is multiplied by its group's gate; the last of a unit by its as well.

    Eq. 6 of arXiv 2007.15353 puts sigma(beta s) on the filter; a BatchNorm behind the filter would
    divide it out again, and its gradient with it. Scaling gamma and beta instead acts on the
    output, and folds into them exactly (see `surgery.fold_gates`). ``features`` are the factors of
    the features where they are not one each of the gate's channels.
    """

    def __init__(self, norm: BatchNorm, gate: Gate, features: AxisFactor | None = None) -> None:
        super().__init__(
            norm.num_features,
            eps=norm.eps,
            momentum=norm.momentum,
            affine=norm.affine,
            track_running_stats=norm.track_running_stats,
            device="meta",
        )
        self.load_state_dict(_copies(norm), assign=True)
        self._plain = kept_aside(norm)
        self.gate = gate
        self.unit_gate: Gate | None = None
        # Several features may belong to one channel (a gated linear unit), or to several groups.
        self._features = features

    def factor(self) -> Tensor:
        """Return what the output is multiplied by (features,)."""
        gate = self.gate.value if self._features is None else self._features()
        return gate if self.unit_gate is None else gate * self.unit_gate.value

    def forward(self, x: Tensor) -> Tensor:
        """Return gate * BatchNorm(x), x being (N, channels, ...)."""
        factor = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if factor is None:
                # A cumulative average, as in torch's BatchNorm: used while recalibrating.
                factor = 1.0 / float(self.num_batches_tracked)
        gate = self.factor()
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight * gate,
            self.bias * gate,
            # Without running statistics those of the batch are used, as in torch's BatchNorm.
            self.training or self.running_mean is None,
            0.0 if factor is None else factor,
            self.eps,
        )

    def folded(self) -> BatchNorm:
        """Return the BatchNorm that was gated; it computes the same as this one, bit for bit."""
        plain = put_back(self._plain, self)
        with torch.no_grad():
            plain.weight.mul_(self.factor())
            plain.bias.mul_(self.factor())
        return plain


def kept_aside(layer: _Layer) -> tuple[_Layer]:
    """Return ``layer`` in a tuple: an attribute that holds it so has no part in the network."""
    return (layer,)


def put_back(kept: tuple[_Layer], source: nn.Module) -> _Layer:
    """Return the layer that was kept aside, with copies of all that ``source`` holds and its sizes.

    It is the very object that was gated, whatever its class has beyond torch's own.
    """
    (layer,) = kept
    for name, parameter in source._parameters.items():
        layer._parameters[name] = None if parameter is None else _twin(parameter)
    for name, buffer in source._buffers.items():
        layer._buffers[name] = None if buffer is None else buffer.clone()
    sync_attributes(layer)
    return layer.train(source.training)


def _twin(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)


def _copies(layer: nn.Module) -> dict[str, Tensor]:
    """Return copies of what a layer holds, of its own type and on its own device."""
    return {name: tensor.clone() for name, tensor in layer.state_dict().items()}
