"""Front hook: a stage of the trunk, or a branch, begins where the stage before it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from growsearch.growth.front.config import FrontConfig
from growsearch.growth.front.plan import Stage
from growsearch.growth.surgery.optimizer_state import rebuild_optimizer
from growsearch.growth.surgery.recalibration import has_statistics, recalibrate_on
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.training import Hook, Task, TrainingState, take_over
from growsearch.training.parallel.workers import Guard


@dataclass(slots=True, kw_only=True)
class FrontHook(Hook):
    """Takes over the network of ``parent``, a stage's checkpoint, and widens it to its stage's.

    ``trunk`` are the stages up to its own. A branch is as wide as its parent. Without a parent the
    network is the first stage's already. The structure stays as it is from the first step to the
    last, so that there are no gates.
    """

    trunk: tuple[Stage, ...]
    config: FrontConfig
    surgeon: Surgeon
    task: Task
    generator: torch.Generator
    parent: Path | None
    is_branch: bool
    guard: Guard

    @property
    def stage(self) -> Stage:
        """The last of the trunk's stages so far."""
        return self.trunk[-1]

    def on_start(self, state: TrainingState) -> None:
        """Begin where the parent has ended: weights, optimizer, random streams, MACs spent."""
        if self.parent is None:
            return
        with self.guard():
            take_over(self.parent, state, self)
            if not torch.equal(self.surgeon.live, self.stage.live):
                self._widen(state)

    def structure(self) -> Mapping[str, Tensor]:
        """Return what lives."""
        return {"live channels": self.surgeon.live}

    def settings(self) -> Mapping[str, object]:
        """Return the part of the front and what led to it; what comes later makes no difference."""
        return {
            "limits": [stage.costs.projection.limit for stage in self.trunk],
            "stage_epochs": [stage.epochs for stage in self.trunk],
            "branch": self.is_branch,
            "calibration_batches": self.config.calibration_batches,
            "width_multiple": self.config.width_multiple,
            "norms": self.config.norms,
        }

    def state(self) -> Mapping[str, Tensor]:
        """Return what lives, and of a trunk what the next stage may wake."""
        return self.surgeon.state(values=not self.is_branch)

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:
        """Take back what `state` returned; the module gets the shape that it had."""
        self.surgeon.load_state(tensors)
        rebuild_optimizer(training.model, training.optimizer, training.recipe, {})

    def _widen(self, state: TrainingState) -> None:
        self.surgeon.restructure(self.stage.live, state.optimizer, state.recipe)
        state.forward_macs = self.stage.macs
        if has_statistics(state.model):
            batches = self.config.calibration_batches
            recalibrate_on(self.task, state, batches, self.generator)
