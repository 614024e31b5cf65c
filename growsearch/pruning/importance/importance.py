"""Contract of an importance, and what it is told of the network that is to be pruned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from cost_models.counting.plain_calls import no_checkpointing
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.metrics import evaluating
from growsearch.metrics.placement import beside
from growsearch.training import Recipe, Task, loss_on
from search_spaces import ChannelGroup, Unit
from search_spaces.channel_groups import axes_by_tensor
from search_spaces.group_sizes import groups_of_sizes

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneTask:
    """What an importance knows at the start.

    ``epochs`` are those in which structures are taken away, ``recipe`` is that of the whole run and
    ``generator`` feeds all random choices.
    """

    projection: BudgetProjection
    recipe: Recipe
    epochs: int
    steps_per_epoch: int
    generator: torch.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The network as it is now, and the batches on which it is judged.

    ``groups`` and ``units`` are those of the full configuration, ``live`` (total,) says which of
    their structures ``module`` still has. ``batches`` hold inputs and targets on the CPU.
    """

    module: nn.Module
    structures: Structures
    groups: tuple[ChannelGroup, ...]
    units: tuple[Unit, ...]
    live: Tensor
    task: Task
    batches: Sequence[Batch]

    def sums(self, values: Mapping[str, Tensor], *, last_norms: bool) -> Tensor:
        """Return the sum (total,) over all weights of every structure of ``values`` by parameter.

        A channel has the entries of all members of its group: what makes it, norms it and reads it.
        A unit has all inside it, or with ``last_norms`` its last BatchNorm alone, through which all
        it adds passes.
        """
        found = torch.zeros(self.structures.total, dtype=torch.float64)
        parts, live = self.structures.split(found), self.structures.split(self.live)
        for name, axes in axes_by_tensor(self._present()).items():
            if name not in values:
                continue
            value = values[name].detach().cpu().double()
            for axis, group, member in axes:
                rows = value.transpose(0, axis).reshape(value.shape[axis], -1).sum(dim=1)
                entries = member.entries(torch.arange(group.size), group.size)
                each = rows[entries].view(member.blocks, group.size, -1).sum(dim=(0, 2))
                parts[group.name][live[group.name]] += each
        for unit in self.units:
            place = f"{unit.norm if last_norms else unit.module}."
            inside = [value for name, value in values.items() if name.startswith(place)]
            total = sum(float(value.detach().double().sum()) for value in inside)
            parts[unit.name][:] = total * float(live[unit.name])
        return found

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are trained, by name."""
        return {n: p for n, p in self.module.named_parameters() if p.requires_grad}

    def gradient_sums(self, batches: Sequence[Batch]) -> list[Tensor]:
        """Return, a batch each, the sums (total,) of gradient times weight of every structure.

        To first order, that is by how much the loss falls if the structure is taken away. The
        network is in evaluation mode, as it will be judged, and stays as it is.
        """
        found = []
        parameters = self.parameters()
        # cuDNN's recurrent layers have no backward pass in evaluation mode.
        own_kernels = torch.backends.cudnn.flags(enabled=False)
        with own_kernels, torch.enable_grad():
            for batch in batches:
                inputs, targets = beside(self.module, *batch)
                forward = self.task.forward()
                # Anew for each: what a network keeps of one evaluation has the graph of that one.
                # Inside, too, are blocks that are computed again for their gradients.
                with evaluating(self.module), no_checkpointing():
                    loss = loss_on(self.task, inputs)(forward(self.module, inputs), targets)
                    gradients = torch.autograd.grad(
                        loss, list(parameters.values()), allow_unused=True
                    )
                products = {
                    name: gradient * weight.detach()
                    for (name, weight), gradient in zip(parameters.items(), gradients, strict=True)
                    if gradient is not None
                }
                found.append(self.sums(products, last_norms=True))
        return found

    def group_means(self, scores: Tensor) -> Tensor:
        """Return ``scores`` (total,) divided by the mean over the live ones of their group.

        Norms of weights say nothing between layers (Fang et al., DepGraph, CVPR 2023, section 3.4);
        units are compared among themselves.
        """
        result, units = scores.clone(), self.structures.are_units() & self.live
        parts, live = self.structures.split(result), self.structures.split(self.live)
        for group in self.groups:
            kept = live[group.name]
            if kept.any():
                parts[group.name] /= parts[group.name][kept].mean().clamp(min=1e-30)
        if units.any():
            result[units] /= result[units].mean().clamp(min=1e-30)
        return result

    def _present(self) -> tuple[ChannelGroup, ...]:
        """Return the groups at their present sizes, without those of units that are gone."""
        counts = self.structures.widths(self.structures.running(self.live))
        names = dict(self.module.named_parameters())
        return groups_of_sizes(
            (
                group
                for group in self.groups
                if counts[group.name] and any(member.tensor in names for member in group.members)
            ),
            counts,
        )


class Importance(Protocol):
    """Ranks structures; most look at the network alone, ``gates`` learns while it trains."""

    def scores(self, judged: Judged) -> Tensor:
        """Return how much each structure (total,) matters, from 0 up; others than live ones 0."""
        ...


Measure = Callable[[Judged], Tensor]


@dataclass(frozen=True, slots=True)
class Looked:
    """An importance that is a function of the network and its batches."""

    measure: Measure

    def scores(self, judged: Judged) -> Tensor:
        """Return what the function says."""
        return self.measure(judged)
