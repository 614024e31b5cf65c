"""Result of growing a network: the model, its history and its costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from growsearch.growth.budget.budget import Budget
from growsearch.growth.latency.model import LatencyReport
from growsearch.growth.staying import Staying
from search_spaces import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRecord:
    """One epoch: how it trained, and the network that its end left behind.

    ``live`` lists every group's channels that run, ``units`` every stage's units that do, as
    positions in the full configuration; ``dormant`` and ``dormant_units`` those that ran earlier
    and wait, detached with all they learned; any other has never run. ``temperature`` (beta) and
    ``probability`` (of being drawn next) list all channels of every group, and units by their own
    names; they are empty for policies without them. ``created``, ``attached`` (again) and
    ``detached`` count the channels and units that changed. ``training_macs`` is the
    total so far; ``parameters`` and ``forward_macs`` (of one example) are of the network that was
    evaluated for ``accuracy``. ``cost`` is that network's in the budget's metric, bounded by
    ``limit``; ``dense_training_macs`` what the full configuration would have spent so far, and
    ``channels`` how many it has.
    ``frozen`` tells that the structure will not change any more. ``accuracy`` is of classes only,
    ``perplexity`` of language models; ``metrics`` are what other tasks are judged by.
    """

    epoch: int
    loss: float
    accuracy: float | None
    training_macs: int
    forward_macs: int
    parameters: int
    live: Mapping[str, tuple[int, ...]]
    units: Mapping[str, tuple[int, ...]]
    dormant: Mapping[str, tuple[int, ...]]
    dormant_units: Mapping[str, tuple[int, ...]]
    temperature: Mapping[str, tuple[float, ...]]
    probability: Mapping[str, tuple[float, ...]]
    created: int
    attached: int
    detached: int
    frozen: bool
    cost: float
    limit: float
    dense_training_macs: int
    channels: int
    perplexity: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def widths(self) -> dict[str, int]:
        """Every group's number of live channels."""
        return {name: len(channels) for name, channels in self.live.items()}

    @property
    def depths(self) -> dict[str, int]:
        """Every stage's number of units that run, if the space has a choice of them."""
        return {stage: len(units) for stage, units in self.units.items()}

    @property
    def live_share(self) -> float:
        """The share of the full configuration's channels that are live."""
        return sum(self.widths.values()) / self.channels

    @property
    def training_saving(self) -> float:
        """The full configuration's training MACs so far divided by those spent."""
        return self.dense_training_macs / self.training_macs


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthResult:
    """A trained compact network and how it came about.

    ``model`` is what ``space.build(architecture)`` builds, so its state_dict loads there. ``cost``
    is its cost in the budget's metric and unit (`Budget.unit`), at most ``limit``; ``latency`` says
    what stands behind a cost in seconds; ``full_parameters`` and ``full_macs`` are
    those of the full configuration. Training MACs count 3 forward passes a
    step and example, at the widths of that step, plus recalibration; ``dense_training_macs`` are
    those of the full configuration over the same steps. ``kept`` says of every layer that could
    not grow why it has its full width, ``staying`` the same with shares of the cost, the dearest
    first; ``floor`` is what the least network costs in the budget's unit.
    """

    model: nn.Module
    architecture: Architecture
    history: tuple[GrowthRecord, ...]
    budget: Budget
    limit: float
    cost: float
    parameters: int
    macs: int
    full_parameters: int
    full_macs: int
    training_macs: int
    dense_training_macs: int
    latency: LatencyReport | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    staying: tuple[Staying, ...] = ()
    floor: float = 0.0

    @property
    def training_saving(self) -> float:
        """The full configuration's training MACs divided by those spent."""
        return self.dense_training_macs / self.training_macs
