"""Trained candidate: a network, its description, and how it got there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from cost_models import MachineLock
from growsearch.datasets import Dataset
from growsearch.growth import build_full
from growsearch.kinds.learning import Learning
from growsearch.kinds.network import Network
from growsearch.kinds.space import KindSpace
from growsearch.tickets import Ticket
from growsearch.training import EpochRecord, InUnits, Recipe, Regression, Task
from search_spaces import SearchSpace

# One line of a record, such as the spectra of an epoch.
Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingContext:
    """Where a candidate trains: the study's data, the trial's seed, and the run that it is part of.

    ``space`` is what the study says of the kind, where there is a study: where files lie that are
    no part of the candidate. ``run`` is the run's folder, in which trials share their work. With
    a ``lock`` devices are timed alone on this machine.
    """

    learning: Learning
    seed: int
    run: Path
    data_dir: Path | None = None
    space: KindSpace | None = None
    lock: MachineLock | None = None

    @property
    def dataset(self) -> Dataset:
        """The study's data."""
        return self.learning.dataset

    def data_for(self, space: SearchSpace) -> Dataset | Task:
        """Return what networks of ``space`` grow on: examples, or a text that is read on."""
        if self.learning.text is None:
            return self.dataset
        return self.learning.task(build_full(space, self.seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Untrained:
    """A network at its initialisation, masked as its trial would start, and the trial's recipe."""

    module: nn.Module
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedCandidate:
    """A trained network: the module, its description and how it got there.

    ``widths`` has, for every epoch of a grown network, the live channels of each group.
    ``training_macs`` contain ``dense_gradient_macs``, what mask updates took for the gradients of
    masked weights. ``mac_error`` is how far a transformed network's forward MACs are from the dense
    network's over the whole of sparse training, as a share. ``records`` has lines by the name of
    their file; of a grown network "structures": one `structure_line` an epoch. ``ticket`` is
    the one that the network started from, if it did. ``metrics`` are figures of the kind's own.
    """

    model: nn.Module
    network: Network
    history: tuple[EpochRecord, ...]
    training_macs: int
    dense_training_macs: int
    widths: tuple[Mapping[str, int], ...] = field(default=())
    dense_gradient_macs: int = 0
    mac_error: float | None = None
    records: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    ticket: Ticket | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def in_units(self, task: Task) -> TrainedCandidate:
        """Return the candidate with the network's outputs in the unit of a regression's targets."""
        if not isinstance(task, Regression):
            return self
        return dataclasses.replace(
            self,
            model=InUnits(self.model, task.scale),
            network=dataclasses.replace(self.network, target_scale=task.scale),
        )
