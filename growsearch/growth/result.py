"""What comes out of growing a network?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from growsearch.growth.budget import Budget
from search_spaces import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRecord:
    """One epoch: how it trained, and the network that its end left behind.

    ``live`` lists every group's live channels as positions in the full configuration. ``created``,
    ``attached`` (again) and ``detached`` count the channels that changed. ``training_macs`` is the
    total so far; ``parameters`` and ``forward_macs`` (of one example) are of the network that was
    evaluated for ``accuracy``. ``frozen`` tells that the structure will not change any more.
    """

    epoch: int
    loss: float
    accuracy: float
    training_macs: int
    forward_macs: int
    parameters: int
    live: Mapping[str, tuple[int, ...]]
    created: int
    attached: int
    detached: int
    frozen: bool

    @property
    def widths(self) -> dict[str, int]:
        """Every group's number of live channels."""
        return {name: len(channels) for name, channels in self.live.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthResult:
    """A trained compact network and how it came about.

    ``model`` is what ``space.build(architecture)`` builds, so its state_dict loads there. ``cost``
    is its cost in the budget's metric, at most ``limit``. Training MACs count 3 forward passes a
    step and example, at the widths of that step, plus recalibration; ``dense_training_macs`` are
    those of the full configuration over the same steps.
    """

    model: nn.Module
    architecture: Architecture
    history: tuple[GrowthRecord, ...]
    budget: Budget
    limit: int
    cost: int
    parameters: int
    macs: int
    training_macs: int
    dense_training_macs: int

    @property
    def training_saving(self) -> float:
        """The full configuration's training MACs divided by those spent."""
        return self.dense_training_macs / self.training_macs
