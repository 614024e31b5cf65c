"""How does an indicator act on a channel? It scales what BatchNorm or the layer itself puts out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.errors import UsageError
from growsearch.growth.reader_gate import ReaderGates, spread
from growsearch.growth.recurrent_gate import gated, sole_producers
from search_spaces import ChannelGroup, Member, Unit
from search_spaces.channel_groups import (
    BatchNorm,
    group_batch_norms,
    is_consumed,
    is_plain_norm,
)


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

    def set(self, value: Tensor) -> None:
        """Put in new gates (channels,), without a gradient."""
        self.value = value.detach().clone().requires_grad_()


class GatedBatchNorm(BatchNorm):
    """BatchNorm whose output is multiplied by its group's gate; the last of a unit by its as well.

    Eq. 6 of arXiv 2007.15353 puts sigma(beta s) on the filter; a BatchNorm behind the filter would
    divide it out again, and its gradient with it. Scaling gamma and beta instead acts on the
    output, and folds into them exactly (see `surgery.fold_gates`). ``member`` says which features
    belong to which channel; None is one each.
    """

    def __init__(self, norm: BatchNorm, gate: Gate, member: Member | None = None) -> None:
        super().__init__(
            norm.num_features,
            eps=norm.eps,
            momentum=norm.momentum,
            affine=norm.affine,
            track_running_stats=norm.track_running_stats,
            device="meta",
        )
        self.load_state_dict(_copies(norm), assign=True)
        self.plain_type = type(norm)
        self.gate = gate
        self.unit_gate: Gate | None = None
        # Several features may belong to one channel (a gated linear unit).
        self._member = member

    def factor(self) -> Tensor:
        """Return what the output is multiplied by (features,)."""
        gate = self.gate.value
        if self._member is not None:
            gate = spread(gate, self._member)
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
        """Return a plain BatchNorm of the original type that computes the same, bit for bit."""
        plain = self.plain_type(
            self.num_features,
            eps=self.eps,
            momentum=self.momentum,
            affine=self.affine,
            track_running_stats=self.track_running_stats,
            device="meta",
        )
        plain.load_state_dict(_copies(self), assign=True)
        with torch.no_grad():
            plain.weight.mul_(self.factor())
            plain.bias.mul_(self.factor())
        plain.train(self.training)
        return plain


def _copies(layer: nn.Module) -> dict[str, Tensor]:
    """Return copies of what a layer holds, of its own type and on its own device."""
    return {name: tensor.clone() for name, tensor in layer.state_dict().items()}


def insert_gates(
    module: nn.Module, groups: tuple[ChannelGroup, ...], units: tuple[Unit, ...] = ()
) -> dict[str, Gate]:
    """Put gates in the place that every group names, open ones first; return them by name.

    At a gate of 0 a channel is as good as removed (`ChannelGroup.gate`). BatchNorms are gated, and
    recurrent layers and embeddings that make a group by themselves; or the weights that read a
    group's channels. The gate of a unit, of shape (1,), acts on the last BatchNorm inside it.

    Raises:
        UsageError: if a group has no such place.
    """
    gates = {group.name: Gate(torch.ones(group.size)) for group in groups}
    for group in groups:
        if group.kept:
            raise _refused(module, f"of its channel group {group.name!r} {group.kept}")
        if not can_be_gated(module, group):
            raise _refused(module, f"its channel group {group.name!r} has no BatchNorm to gate")
    behind = tuple(group for group in groups if group.gate == "norms")
    producers = list(sole_producers(module, behind))
    for name, norm, group, member in _gateable(module, behind):
        one_each = member.entries_per_channel == 1
        gated_norm = GatedBatchNorm(norm, gates[group.name], None if one_each else member)
        module.set_submodule(name, gated_norm)
    for name, layer, group in producers:
        module.set_submodule(name, gated(layer, gates[group.name]))
    readers = tuple(group for group in groups if group.gate == "readers")
    if readers:
        ReaderGates(module, readers, gates)
    for unit in units:
        gates[unit.name] = Gate(torch.ones(1))
        last = module.get_submodule(unit.norm)
        assert isinstance(last, GatedBatchNorm)
        last.unit_gate = gates[unit.name]
    return gates


def can_be_gated(module: nn.Module, group: ChannelGroup) -> bool:
    """Tell whether ``group`` has the place that it names for its gate."""
    if group.gate == "readers":
        return any(is_consumed(module, member) for member in group.members)
    return any(_gateable(module, (group,))) or any(sole_producers(module, (group,)))


def _gateable(
    module: nn.Module, groups: tuple[ChannelGroup, ...]
) -> list[tuple[str, BatchNorm, ChannelGroup, Member]]:
    """Return the BatchNorms that take a gate into scale and shift."""
    found = group_batch_norms(module, groups)
    return [each for each in found if is_plain_norm(each[1]) and each[1].affine]


def _refused(module: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"space: {type(module).__name__} cannot be grown: {why}; choose a space with BatchNorm "
        "behind every layer, such as resnet20, or with recurrent layers, such as lstm-ptb"
    )
