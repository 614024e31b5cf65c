"""Rates of cohorts: weights that came later learn at a rate of their own.

Yuan, Savarese & Maire 2023, "Accelerated Training via Incrementally Growing Neural Networks using
Variance Transfer and Learning Rate Adaptation", section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from growsearch.growth.budget.structures import Structures
from search_spaces import ChannelGroup, Member, Unit
from search_spaces.channel_groups import axes_by_tensor, entries_by_axis
from search_spaces.units import unit_tensors


class CohortRates:
    """Gives each weight the rate eta_k = eta_0 |W_k| / |W_0| of the change k that created it.

    W_k are all weights of the network that came with the k-th change that created any, those of the
    seed being W_0: a weight comes with the latest of the channels, and the unit, that it belongs
    to. Norms are taken over weights of two axes and more, at the end of every epoch; biases and
    scales of norms learn at the rates of their channels. A cohort that is all zero has eta_0, for
    it would never learn.

    The optimizer takes its step at eta_0, and of what it changed each weight keeps its share
    eta_k / eta_0, weight decay included. That is the step at eta_k: in all optimizers here (SGD,
    Adam, AdamW, Lion) a step is in proportion to the rate, and what is remembered is free of it.

    Args:
        module: at full width.
        groups: of the module; those that grow.
        units: of the module; those that may be detached.
    """

    def __init__(
        self, module: nn.Module, groups: tuple[ChannelGroup, ...], units: tuple[Unit, ...]
    ) -> None:
        self._structures = Structures.of(groups, units)
        self._axes = axes_by_tensor(groups)
        self._unit_of = {name: unit.name for unit in units for name in unit_tensors(module, unit)}
        self._born = torch.zeros(self._structures.total, dtype=torch.long)
        self._factors = torch.ones(1, dtype=torch.float64)
        # By place in `Module.parameters`, which folding and compaction keep; None: all of the seed.
        self._cohorts: list[Tensor | None] = []
        self._shares: list[Tensor | None] = []
        self._before: list[Tensor | None] = []

    def factors(self) -> Tensor:
        """Return eta_k / eta_0 (cohorts,)."""
        return self._factors

    def create(self, fresh: Tensor) -> None:
        """Note that the structures ``fresh`` (total,) were created together."""
        if bool(fresh.any()):
            self._born[fresh] = self._born.max() + 1

    def locate(self, module: nn.Module, live: Tensor) -> None:
        """Find the cohort of every weight of ``module``, of which ``live`` (total,) runs.

        Its parameters must have the names of the full network: before gates are folded.
        """
        born = self._structures.split(self._born)
        left = self._structures.indices(live)
        self._cohorts = [
            self._cohort(name, parameter, born, left)
            for name, parameter in module.named_parameters()
        ]
        self._shares = []

    def _cohort(
        self,
        name: str,
        parameter: Tensor,
        born: Mapping[str, Tensor],
        left: Mapping[str, Tensor],
    ) -> Tensor | None:
        axes = self._axes.get(name, ())
        cohort = torch.zeros(parameter.shape, dtype=torch.long)
        if name in self._unit_of:
            cohort = cohort.clamp(min=int(born[self._unit_of[name]]))
        for axis, entries in entries_by_axis(axes, left).items():
            along = _along([each for each in axes if each[0] == axis], born)[entries]
            shape = [-1 if a == axis else 1 for a in range(parameter.ndim)]
            cohort = cohort.maximum(along.view(shape))
        return cohort if bool(cohort.any()) else None

    def measure(self, module: nn.Module) -> None:
        """Take the norms of all cohorts, and their rates by them."""
        count = int(self._born.max()) + 1
        squares = torch.zeros(count, dtype=torch.float64)
        for parameter, cohort in zip(module.parameters(), self._cohorts, strict=True):
            if parameter.ndim > 1:
                each = parameter.detach().cpu().double().square().flatten()
                if cohort is None:
                    squares[0] += each.sum()
                else:
                    squares += torch.bincount(cohort.flatten(), weights=each, minlength=count)
        norms = squares.sqrt()
        there = norms[norms > 0]
        # The oldest that is left, should nothing of the seed run any more.
        shares = norms / there[0] if len(there) else torch.ones_like(norms)
        self._factors = torch.where(norms > 0, shares, torch.ones(()))
        self._shares = []

    @torch.no_grad()
    def remember(self, module: nn.Module) -> None:
        """Keep the weights as they are before a step."""
        if not self._shares:
            self._shares = [
                None if cohort is None else self._factors[cohort].to(parameter)
                for parameter, cohort in zip(module.parameters(), self._cohorts, strict=True)
            ]
        self._before = [
            None if share is None else parameter.detach().clone()
            for parameter, share in zip(module.parameters(), self._shares, strict=True)
        ]

    @torch.no_grad()
    def adapt(self, module: nn.Module) -> None:
        """Leave of the step since `remember` what every cohort's rate makes of it."""
        places = zip(module.parameters(), self._shares, self._before, strict=True)
        for parameter, share, before in places:
            if share is not None and before is not None:
                parameter.copy_(before.lerp(parameter, share))

    def state(self) -> dict[str, Tensor]:
        """Return what was born when, and the rates."""
        return {"born": self._born, "factors": self._factors}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._born, self._factors = state["born"], state["factors"]


def _along(axes: Sequence[tuple[int, ChannelGroup, Member]], born: Mapping[str, Tensor]) -> Tensor:
    """Return when each entry of one axis came, at full width; 0 for those of no channel."""
    _, group, member = axes[0]
    block = sum(part.length for part in member.parts_of(group.name, group.size))
    found = torch.zeros(member.blocks * block, dtype=torch.long)
    for _, group, member in axes:
        channels = torch.arange(group.size)
        times = born[group.name].repeat_interleave(member.repeat).repeat(member.blocks)
        found[member.entries(channels, group.size)] = times
    return found
